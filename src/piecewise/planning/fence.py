"""What a configuration may not say to Hydra, which builds and imports what stands below `hydra` before anybody asks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from piecewise.errors import BadInput, nearest
from piecewise.jobs.about import options

WORD = "hydra"
NOT_PLAIN = re.compile(r"\$\{(?!\.*(?!hydra\b)[\w.]+\})")  # an interpolation that is no plain reference to a key
ELSEWHERE = ("-cd", "-cp", "-cn", "--config-dir", "--config-path", "--config-name")


def refuse_hydra(conf: Path, arguments: Sequence[str]) -> None:
    """Refuse arguments and files that reach into Hydra itself, or hold an interpolation that computes something.

    Only the project's own conf/config.yaml may. A file may say what its experiment sweeps, and nothing else.
    Raises BadInput.
    """
    for word in arguments:
        if word.partition("=")[0] in ELSEWHERE:
            raise BadInput(f"{word} is not allowed: configurations come from {conf}")
        if WORD in word.partition("=")[0] and not word.startswith("--"):
            raise BadInput(f"{word} is not allowed: Hydra is configured in {conf / 'config.yaml'} alone")
        group, equals, value = word.partition("=")
        if equals and value in ("null", "") and (conf / group).is_dir():
            raise BadInput(f"{word} is no option of {group}; {nearest('none', options(conf, group))}")
    for path in sorted(conf.rglob("*.yaml")):
        if path != conf / "config.yaml":
            _check_file(path)


def _check_file(path: Path) -> None:
    text = path.read_text(errors="replace")
    if WORD not in text and not NOT_PLAIN.search(text):
        return
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:  # nothing in it can be composed, which is said when somebody asks for it
        return
    if isinstance(content, dict) and set(content.get(WORD) or {}) <= {"sweeper"}:
        sweeper = (content.pop(WORD, None) or {}).get("sweeper") or {}
        strange = set(sweeper) - {"params"}
    else:
        strange = {WORD}
    packages = [line for line in text.splitlines() if "@package" in line and WORD in line]
    words = [word for word in _words(content) if WORD in word or NOT_PLAIN.search(word)]
    if strange or packages or words:
        what = [*sorted(strange), *packages, *words][0]
        raise BadInput(f"{path}: {what!r} is not allowed; allowed: hydra.sweeper.params, and ${{key}} alone")


def _words(value: Any) -> Iterator[str]:
    """Every key and every text in a file, wherever it stands."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from _words(item)
    elif isinstance(value, list):
        for item in value:
            yield from _words(item)
    elif isinstance(value, str):
        yield value
