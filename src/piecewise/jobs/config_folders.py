"""The folders that hold a project's configurations: its own conf/, then those that its conf/config.yaml adds."""

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from piecewise.errors import BadInput

SHIPPED = Path(__file__).parents[1] / "conf"
SHIPPED_NAME = "pkg://piecewise.conf"


def config_folders(conf: Path) -> list[Path]:
    """`conf`, then the folders of `hydra.searchpath` in conf/config.yaml. As in Hydra, the first that has a file wins.

    Raises BadInput for an entry that is neither `pkg://piecewise.conf` nor a folder inside the project.
    """
    try:
        text = (conf / "config.yaml").read_text("utf-8")
        entries = _search_path(text)
    except (yaml.YAMLError, UnicodeDecodeError, OSError):  # Hydra reports the error when it composes
        entries = []
    return [conf, *(_added_folder(conf, entry) for entry in entries)]


def find_config(conf: Path, name: str) -> Path:
    """The file that Hydra reads for `name`, such as `model/cnn.yaml`; the path in `conf` if there is none."""
    paths = [folder / name for folder in config_folders(conf)]
    return next((path for path in paths if path.is_file()), paths[0])


def config_files(folder: Path) -> Iterator[Path]:
    """Every YAML file below a folder. Like Hydra, and unlike `rglob`, it follows links to folders."""
    seen = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(root)) in seen:  # a link to a folder above it
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(root, name) for name in (*folders, *files) if name.endswith(".yaml"))


def config_name(conf: Path, path: Path) -> str:
    """A configuration's path as messages show it: `conf/model/cnn.yaml`, `pkg://piecewise.conf/model/cnn.yaml`."""
    if path.is_relative_to(SHIPPED):
        return f"{SHIPPED_NAME}/{path.relative_to(SHIPPED).as_posix()}"
    return path.relative_to(conf.parent).as_posix()


@lru_cache(maxsize=4)
def _search_path(text: str) -> list[Any]:
    content = yaml.safe_load(text)
    hydra = (content.get("hydra") or {}) if isinstance(content, dict) else {}
    entries = (hydra.get("searchpath") or []) if isinstance(hydra, dict) else hydra
    return entries if isinstance(entries, list) else [entries]


def _added_folder(conf: Path, entry: Any) -> Path:
    if entry == SHIPPED_NAME:
        return SHIPPED
    root = conf.absolute().parent.resolve()
    written = str(entry).removeprefix("file://")
    folder = (root / written).resolve()
    if isinstance(entry, str) and "://" not in written and root in folder.parents and folder.is_dir():
        return conf.parent / folder.relative_to(root)
    raise BadInput(
        f"{conf.name}/config.yaml: hydra.searchpath has {entry!r}; "
        f"allowed: {SHIPPED_NAME}, and folders inside the project that exist"
    )
