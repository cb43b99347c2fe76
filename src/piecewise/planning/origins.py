"""Where each value of a composed configuration comes from: the last file, or word typed, that sets it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.core.default_element import ResultDefault
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.plugins.config_source import ConfigSource
from hydra.types import RunMode
from omegaconf import OmegaConf

from piecewise.errors import BadInput
from piecewise.planning.plan import register_schema

COMMAND_LINE = "command line"
SCHEMA = "schema default"
SWEEP = ("hydra", "sweeper", "params")

Key = tuple[str, ...]  # optimizer.lr is ("optimizer", "lr")


@dataclass(frozen=True)
class Origin:
    """`written` is the value as it stands in its place; None for a key that has others below it."""

    place: str  # conf/model/cnn.yaml, COMMAND_LINE or SCHEMA
    written: Any = None

    @property
    def expression(self) -> str:
        """What the value is resolved from: `${optimizer.lr}`; empty for a plain value."""
        return str(self.written) if "${" in str(self.written) else ""

    def __str__(self) -> str:
        return f"{self.expression} ({self.place})" if self.expression else self.place


class Origins:
    """The origin of every key, as Hydra merges one file after the other and then what was typed."""

    def __init__(self) -> None:
        self._known: dict[Key, Origin] = {}

    def put(self, key: Key, value: Any, place: str) -> None:
        """`place` sets `key`, and so is the last to touch everything above it: an item of a list is its list."""
        for length in range(1, len(key)):
            self._known[key[:length]] = Origin(place)
        self._merge(key, value, place)

    def drop(self, key: Key) -> None:
        self._known = {known: origin for known, origin in self._known.items() if known[: len(key)] != key}

    def of(self, key: Key) -> Origin:
        """The origin of a key of the composed configuration, or of the expression that it is a part of."""
        for length in range(len(key), 0, -1):
            if key[:length] in self._known:
                return self._known[key[:length]]
        raise KeyError(".".join(key))

    def sweep(self) -> dict[str, Any]:
        """What -m sweeps if nothing more is typed: the values of each key as text."""
        swept = {key[len(SWEEP) :]: origin.written for key, origin in self._known.items() if key[: len(SWEEP)] == SWEEP}
        return {".".join(key): values for key, values in swept.items() if key}

    def _merge(self, key: Key, value: Any, place: str) -> None:
        if not isinstance(value, dict):  # dictionaries are merged, anything else is replaced with all below it
            self.drop(key)
        self._known[key] = Origin(place, None if isinstance(value, dict) else value)
        if isinstance(value, dict):
            for name, item in value.items():
                self._merge((*key, str(name)), item, place)


def find_origins(conf: Path, overrides: list[str]) -> Origins:
    """Who sets what when the project's configuration is composed with `overrides`, which must be known to compose."""
    register_schema()
    origins = Origins()
    with initialize_config_dir(str(conf.resolve()), version_base=None):
        loader = GlobalHydra.instance().config_loader()
        found = loader.compute_defaults_list("config", overrides, RunMode.RUN)
        for default in found.defaults:
            place, content = _load(default, loader.get_sources(), conf)
            for key, value in _embedded(default.package or "", content):
                origins.put(key, value, place)
        for override in found.config_overrides:
            _type(override, origins)
    return origins


def _load(default: ResultDefault, sources: list[ConfigSource], conf: Path) -> tuple[str, Any]:
    """The place and the content of one entry of Hydra's defaults list."""
    path = str(default.config_path)
    for source in sources:
        if source.is_config(path):
            content: Any = OmegaConf.to_container(source.load_config(path).config, resolve=False)
            content.pop("defaults", None)
            return SCHEMA if source.scheme() == "structured" else f"{conf.name}/{path}.yaml", content
    raise BadInput(f"{path} comes from hydra.searchpath, where show does not look")


def _embedded(package: str, content: dict[str, Any]) -> Iterator[tuple[Key, Any]]:
    """A file's keys where its package puts them; an empty package is the root."""
    if package:
        yield tuple(package.split(".")), content
    else:
        yield from (((str(name),), value) for name, value in content.items())


def _type(override: Override, origins: Origins) -> None:
    key = tuple(override.key_or_group.split("."))
    if override.is_delete():
        origins.put(key, None, COMMAND_LINE)  # the dictionary that lost it is no longer what its file says
        origins.drop(key)
    else:
        origins.put(key, override.value(), COMMAND_LINE)
