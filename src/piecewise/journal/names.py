"""Ids of runs; the name of an experiment, such as `chapter/fit`, and what is named after it.

Neither a folder nor a stage of DVC nor a registered model of MLflow may have a slash in its name: theirs is
`chapter--fit`. No part of a valid name has two hyphens in a row or one at an end, so the two forms belong together.
"""

import re
import secrets
import time

from piecewise.errors import BadInput

SLASH = "--"
PART = re.compile(r"[A-Za-z0-9_]+(-[A-Za-z0-9_]+)*")
MAX_LENGTH = 100
RESERVED = ("true", "false", "null", "_self_")  # Hydra reads them as something else than a name


def folder_name(name: str) -> str:
    """The name of a folder, stage or model. The name of a folder stays as it is."""
    return name.replace("/", SLASH)


def train_stage(name: str) -> str:
    """The stage of `dvc repro` that trains an experiment."""
    return f"train@{folder_name(name)}"


def is_valid(name: str) -> bool:
    """Whether a name can be typed without quotes, and whether a folder can be named after it."""
    return len(name) <= MAX_LENGTH and all(map(PART.fullmatch, name.split("/"))) and not _is_reserved(name)


def check_name(name: str, what: str) -> None:
    """Raise BadInput if the name is not valid. `what` begins the message."""
    if not is_valid(name):
        raise BadInput(
            f"{what}: {name!r} cannot name a run; allowed: letters a to z, digits, _, single hyphens between them, "
            f"/ for a sub-folder, at most {MAX_LENGTH} characters, and no number, {', '.join(RESERVED)}"
        )


def _is_reserved(name: str) -> bool:
    try:
        float(name)  # also reads 1_000, nan and 1e5, as Hydra does
    except ValueError:
        return name.lower() in RESERVED
    return True


def new_id() -> str:
    """A new id for a run. Ids sort by the second they were made."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
