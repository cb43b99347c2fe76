"""Refuses settings of Hydra in arguments and files: Hydra imports and calls what is named below the key `hydra`."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from piecewise.errors import BadInput, nearest
from piecewise.jobs.about import options
from piecewise.jobs.config_folders import SHIPPED, config_folders

HYDRA = "hydra"
COMPUTED = re.compile(r"\$\{(?!\.*(?!hydra\b)[\w.]+\})")  # an interpolation that is not a plain reference to a key
SOURCE_FLAGS = ("-cd", "-cp", "-cn", "--config-dir", "--config-path", "--config-name")


def refuse_hydra_settings(conf: Path, arguments: Sequence[str]) -> None:
    """Refuse arguments and files that change Hydra's settings or hold an interpolation that computes something.

    Only the project's own conf/config.yaml may. Other files may have `hydra.sweeper.params`. The package's own files
    are trusted. Raises BadInput.
    """
    folders = config_folders(conf)
    for argument in arguments:
        group, equals, value = argument.partition("=")
        if group in SOURCE_FLAGS:
            raise BadInput(f"{argument} is not allowed: configurations come from {conf}")
        if HYDRA in group and not argument.startswith("--"):
            raise BadInput(f"{argument} is not allowed: Hydra is configured in {conf / 'config.yaml'} alone")
        if equals and value in ("null", "") and any((folder / group).is_dir() for folder in folders):
            raise BadInput(f"{argument} is no option of {group}; {nearest('none', options(conf, group))}")
    for path in sorted(path for folder in folders if folder != SHIPPED for path in folder.rglob("*.yaml")):
        if path != conf / "config.yaml":
            _check_file(path)


def _check_file(path: Path) -> None:
    text = path.read_text(errors="replace")
    if HYDRA not in text and not COMPUTED.search(text):
        return
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:  # the file cannot be composed either; composing reports it
        return
    if isinstance(content, dict) and set(content.get(HYDRA) or {}) <= {"sweeper"}:
        sweeper = (content.pop(HYDRA, None) or {}).get("sweeper") or {}
        settings = set(sweeper) - {"params"}
    else:
        settings = {HYDRA}
    packages = [line for line in text.splitlines() if "@package" in line and HYDRA in line]
    texts = [text for leaf in leaves(content) for text in map(str, leaf) if HYDRA in text or COMPUTED.search(text)]
    if settings or packages or texts:
        refused = [*sorted(settings), *packages, *texts][0]
        raise BadInput(f"{path}: {refused!r} is not allowed; allowed: hydra.sweeper.params, and ${{key}} alone")


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Each value at any depth that holds no other, with its key: `optimizer.betas[0]`."""
    if value and isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, f"{key}.{name}" if key else str(name))
    elif value and isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, f"{key}[{index}]")
    else:
        yield key, value
