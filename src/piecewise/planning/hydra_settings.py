"""Refuses settings of Hydra in arguments and files, and says what to use instead.

Hydra imports and calls what is named below the key `hydra`. piecewise lets Hydra compose, and uses no other setting.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from piecewise.errors import BadInput
from piecewise.jobs.config_folders import SHIPPED, config_files, config_folders

HYDRA = "hydra"
UP = ".."
COMPUTED = re.compile(r"\$\{(?!\.*(?!hydra\b)[\w.]+\})")  # an interpolation that is not a plain reference to a key
OVERRIDDEN = re.compile(r"hydra[./](\w+)(?:[./](\w+))?")  # the setting in an argument or in an entry of `defaults`

LOGS = "piecewise writes no log; --quiet prints only results, warnings and errors"
PATHS = "runs go to runs/, and paths start at the project's root"
ALLOWED = "of Hydra's settings, conf/config.yaml may have searchpath, help and sweeper.params"
COMPUTED_INSTEAD = "instead: a value, or ${key} for that of another key; the command line can take one from outside"
# The settings of Hydra, with what to use instead.
INSTEAD = {
    "launcher": "executor=pool executor.slots=N trains N jobs of a sweep at a time (all cores by default)",
    "sweeper": "-m takes lists of values: KEY=a,b, KEY=range(0,3) or KEY=glob(pattern)",
    "sweeper.params": "-m KEY=a,b, or hydra.sweeper.params in the experiment's file",
    "searchpath": "hydra.searchpath in conf/config.yaml",
    "mode": "-m for a sweep",
    "run": PATHS,
    "sweep": PATHS,
    "output_subdir": "a run keeps its configuration in training/job.json",
    "job": f"an experiment's file names its runs; {PATHS}; set environment variables before the command",
    "job_logging": LOGS,
    "hydra_logging": LOGS,
    "verbose": f"{LOGS}; PIECEWISE_DEBUG=1 shows tracebacks",
    "help": "hydra.help in conf/config.yaml",
}


def refuse_hydra_settings(conf: Path, overrides: Sequence[str]) -> dict[Path, BadInput]:
    """Refuse overrides and files that change Hydra's settings or hold an interpolation that computes something.

    Only the project's own conf/config.yaml may set what piecewise uses; other files may have `hydra.sweeper.params`.
    The package's own files are trusted. Raises BadInput; but the errors of experiments' files are returned, by the
    file that holds them: they concern only the jobs that are made of it.
    """
    faults = {}
    folders = config_folders(conf)
    for override in overrides:
        if HYDRA in (key := override.partition("=")[0]):
            raise BadInput(f"{override} is not allowed; {_instead(key)}")
    own = [(folder, path) for folder in folders if folder != SHIPPED for path in config_files(folder)]
    for folder, path in sorted(own, key=lambda found: found[1]):
        try:
            if path == conf / "config.yaml":
                _check_root(path)
            elif path.is_file():
                _check_file(path)
        except BadInput as error:
            if path.relative_to(folder).parts[0] != "experiment":
                raise
            faults[path.resolve()] = error
    return faults


def _instead(key: str) -> str:
    """What to use instead of the setting that an override, a header or an entry of `defaults` names."""
    found = OVERRIDDEN.search(key)
    group, option = found.groups() if found is not None else ("", None)
    instead = INSTEAD.get(f"{group}.{option}") or INSTEAD.get(group)
    return f"instead: {instead}" if instead is not None else ALLOWED


def _check_root(path: Path) -> None:
    """Refuse what conf/config.yaml sets for Hydra and piecewise does not use: it would be ignored."""
    content = _read(path)
    if not isinstance(content, dict):
        return
    _check_params(path, content.get(HYDRA))
    for setting in _settings(content.get(HYDRA), allowed=("searchpath", "help")):
        raise BadInput(f"{path}: hydra.{setting} is not used; {_instead(f'hydra.{setting}')}")
    for text in _default_entries(content):
        if HYDRA in text:
            raise BadInput(f"{path}: {text!r} in defaults is not allowed; {_instead(text)}")


def _check_file(path: Path) -> None:
    text = path.read_text("utf-8", errors="replace")
    if HYDRA not in text and UP not in text and not COMPUTED.search(text):
        return
    content = _read(path)
    hydra = None
    if isinstance(content, dict):
        hydra, content = content.get(HYDRA), {key: value for key, value in content.items() if key != HYDRA}
    _check_params(path, hydra, refused=(HYDRA, "experiment"))
    settings = _settings(hydra)
    packages = [line for line in text.splitlines() if "@package" in line and HYDRA in line]
    texts = [text for leaf in leaves(content) for text in map(str, leaf) if HYDRA in text or COMPUTED.search(text)]
    for text in _default_entries(content):
        if UP in text:  # Hydra would read a file outside the folders that are checked here
            raise BadInput(
                f"{path}: {text!r} in defaults is not allowed; instead: /GROUP/OPTION, a file of the project"
            )
    for refused in [*(f"hydra.{setting}" for setting in settings), *packages, *texts]:
        instead = COMPUTED_INSTEAD if COMPUTED.search(refused) else _instead(refused)
        raise BadInput(f"{path}: {refused!r} is not allowed; {instead}")


def _default_entries(content: Any) -> Iterator[str]:
    """The entries of a file's defaults list as text, such as `override /model: mlp`."""
    entries = content.get("defaults") if isinstance(content, dict) else None
    for entry in entries if isinstance(entries, list) else ():
        yield ", ".join(f"{key}: {value}" for key, value in entry.items()) if isinstance(entry, dict) else str(entry)


def _check_params(path: Path, hydra: Any, refused: tuple[str, ...] = (HYDRA,)) -> None:
    """Refuse keys of `sweeper.params` without effect, and values that are no text: {seed: 0,1} has two keys."""
    sweeper = hydra.get("sweeper") if isinstance(hydra, dict) else None
    params = (sweeper.get("params") or {}) if isinstance(sweeper, dict) else {}
    if not isinstance(params, dict):
        raise BadInput(f"{path}: hydra.sweeper.params={params!r} must be keys with their values")
    for key, value in params.items():
        if (name := re.split("[./@=]", str(key).lstrip("+~"))[0]) in refused:
            instead = _instead(str(key)) if name == HYDRA else "instead: -m experiment=a,b as arguments"
            raise BadInput(f"{path}: {key} in hydra.sweeper.params is not allowed; {instead}")
        if value is None or isinstance(value, list | dict):
            raise BadInput(
                f"{path}: hydra.sweeper.params has {key}: {'no value' if value is None else value}; "
                'allowed: the values between quotes, as in seed: "0,1,2"'
            )


def _settings(hydra: Any, allowed: tuple[str, ...] = ()) -> list[str]:
    """What is set below `hydra`, without `sweeper.params` and `allowed`."""
    if not isinstance(hydra, dict):
        return [] if hydra is None else [str(hydra)]
    sweeper = hydra.get("sweeper")
    inner = sweeper if isinstance(sweeper, dict) else {} if sweeper is None else {sweeper: None}
    return [
        *(str(name) for name in hydra if name not in ("sweeper", *allowed)),
        *(f"sweeper.{name}" for name in inner if name != "params"),
    ]


def _read(path: Path) -> Any:
    """What a file holds, which the caller must not change."""
    try:
        return _parsed(path.read_text("utf-8", errors="replace"))
    except (yaml.YAMLError, OSError):  # the file cannot be composed either; composing reports it
        return None


@lru_cache(maxsize=1000)
def _parsed(text: str) -> Any:
    """Parsed once per process: `compose` checks every file for each experiment, and parsing took most of a check."""
    return yaml.safe_load(text)


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
