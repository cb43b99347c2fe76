"""Where each value of a composed configuration comes from: the last file or argument that sets it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.default_element import ResultDefault
from hydra.plugins.config_source import ConfigSource
from hydra.types import RunMode
from omegaconf import OmegaConf

from piecewise.jobs.config_folders import config_name, find_config
from piecewise.planning.plan import composing

COMMAND_LINE = "command line"
SCHEMA = "schema default"
SWEEP = ("hydra", "sweeper", "params")
DELETED = object()

Key = tuple[str, ...]  # optimizer.lr is ("optimizer", "lr")


@dataclass(frozen=True)
class Origin:
    """`written` is the value before interpolation; None for a key with other keys below it."""

    source: str  # conf/model/cnn.yaml, COMMAND_LINE or SCHEMA
    written: Any = None

    @property
    def expression(self) -> str:
        """The interpolation that gives the value, such as `${optimizer.lr}`; empty for a plain value."""
        return str(self.written) if "${" in str(self.written) else ""

    def __str__(self) -> str:
        return f"{self.expression} ({self.source})" if self.expression else self.source


class Origins:
    """What each source sets, in the order in which Hydra merges them."""

    def __init__(self) -> None:
        self._layers: list[tuple[str, Any]] = []

    def put(self, key: Key, value: Any, source: str) -> None:
        for name in reversed(key):
            value = {name: value}
        self._layers.append((source, value))

    def of(self, key: Key) -> Origin:
        """The origin of a key of the composed configuration, or of the interpolation that it is a part of."""
        for source, content in reversed(self._layers):
            for name in key:
                content = content.get(name, DELETED)
                if not isinstance(content, dict):  # it replaces everything that earlier sources have below this key
                    break
            if content is not DELETED:
                return Origin(source, None if isinstance(content, dict) else content)
        raise KeyError(".".join(key))

    def sweep(self) -> dict[str, Any]:
        """The values of each key, as text, that -m sweeps by default."""
        swept: dict[str, Any] = {}
        for _, content in self._layers:
            for name in SWEEP:
                content = content.get(name) if isinstance(content, dict) else None
            swept |= content or {}
        return {key: values for key, values in swept.items() if values is not DELETED}


def find_origins(conf: Path, overrides: list[str]) -> Origins:
    """The origin of each key when the project's configuration is composed with `overrides`, which must compose."""
    origins = Origins()
    with composing(conf) as loader:
        found = loader.compute_defaults_list("config", overrides, RunMode.RUN)
        for default in found.defaults:
            source, content = _load(default, loader.get_sources(), conf)
            origins.put(_split(default.package), content, source)
        for override in found.config_overrides:
            value = DELETED if override.is_delete() else override.value()
            origins.put(_split(override.key_or_group), value, COMMAND_LINE)
    return origins


def _split(key: str | None) -> Key:
    return tuple(key.split(".")) if key else ()


def _load(default: ResultDefault, hydras_own: list[ConfigSource], conf: Path) -> tuple[str, Any]:
    """The name and the content of one entry of Hydra's defaults list."""
    path = str(default.config_path)
    file = find_config(conf, f"{path}.yaml")
    config: Any
    if file.is_file():
        name, config = config_name(conf, file), OmegaConf.load(file)
    else:
        name, config = SCHEMA, next(source.load_config(path).config for source in hydras_own if source.is_config(path))
    content: Any = OmegaConf.to_container(config, resolve=False)
    content.pop("defaults", None)
    return name, content
