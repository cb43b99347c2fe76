"""Jobs as files of version 1 hold them: with their overrides joined to one text, the `label`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from piecewise.errors import BadInput
from piecewise.jobs.digests import canonical_digest

VERSION = 1
OPENING, CLOSING, QUOTES = "([{", ")]}", "'\""


def upgraded(content: dict[str, Any], where: Path) -> dict[str, Any]:
    """Name, overrides and configuration of a job of version 1. Raises BadInput if it was edited."""
    sealed = {key: content.get(key) for key in ("name", "label", "config")}
    if content.get("seal") != (seal := canonical_digest(sealed)):
        raise BadInput(f"{where}: the job was edited: its seal is {seal}, recorded is {content.get('seal')}")
    overrides = list(split_label(str(content["label"])))
    # A label left out the experiment. Only an experiment's file sets a question.
    if (content["config"].get("about") or {}).get("question"):
        overrides.insert(0, f"experiment={content['name']}")
    return {"name": content["name"], "overrides": overrides, "config": content["config"]}


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
