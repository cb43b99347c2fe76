"""Jobs as files of version 1 hold them: with their overrides joined to one text, the `label`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from piecewise.errors import BadInput
from piecewise.jobs.digests import canonical_digest

VERSION = 1
OPENING, CLOSING, QUOTES = "([{", ")]}", "'\""


def overrides(content: dict[str, Any], where: Path) -> tuple[str, ...]:
    """The overrides of a job of version 1. Raises BadInput if the job was edited."""
    sealed = {key: content[key] for key in ("name", "label", "config")}
    if content["seal"] != (seal := canonical_digest(sealed)):
        raise BadInput(f"{where}: the job was edited: its seal is {seal}, recorded is {content['seal']}")
    # A label left out the experiment. Only an experiment's file sets a question.
    is_named = bool((content["config"].get("about") or {}).get("question"))
    chosen = [f"experiment={content['name']}"] if is_named else []
    return (*chosen, *split_label(content["label"]))


def split_label(label: str) -> Iterator[str]:
    """The overrides that a label joined with commas; those in brackets or quotes or after a backslash join nothing."""
    start, depth, quote, is_escaped = 0, 0, "", False
    for index, letter in enumerate(label):
        if is_escaped or letter == "\\":
            is_escaped = not is_escaped
        elif quote or letter in QUOTES:
            quote = "" if letter == quote else quote or letter
        elif letter == "," and depth == 0:
            yield label[start:index]
            start = index + 1
        else:
            depth += (letter in OPENING) - (letter in CLOSING)
    if label:
        yield label[start:]
