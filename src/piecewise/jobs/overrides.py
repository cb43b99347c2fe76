"""Hydra's overrides as text: `optimizer.lr=0.1`, `+trainer.max_steps=9`, `~scheduler`. Hydra itself parses them."""

import hashlib
import json
import re
import shlex
from collections.abc import Sequence

OVERRIDE = re.compile(r"(?:\+\+?|~)?([^=]*)(?:=(.*))?", re.DOTALL)
# Left out of labels: a job's name has the experiment, and the others change no result and are equal in a sweep.
UNLABELLED = re.compile(r"(experiment|tracking|executor|on_error|figures)([.@].*)?", re.DOTALL)
# A label that can name a folder on every file system. Hydra's values have no comma outside brackets and quotes.
PLAIN = re.compile(r"[a-z_+][a-z0-9_.+-]*=[a-z0-9_.+-]*(,[a-z_+][a-z0-9_.+-]*=[a-z0-9_.+-]*)*")
MAX_NAME_BYTES = 120  # of a folder; file systems allow 255, or 143 if they encrypt, and the names of files get longer


def key_of(override: str) -> str:
    """The key that is set or deleted: `trainer.max_steps` of `+trainer.max_steps=9`."""
    return _split(override)[0]


def values_of(overrides: Sequence[str]) -> dict[str, str]:
    """The values, as they are written, by key; of two for one key the last, as in Hydra. Of `~key` it is empty."""
    return dict(map(_split, overrides))


def _split(override: str) -> tuple[str, str]:
    key, value = OVERRIDE.fullmatch(override).groups("")  # type: ignore[union-attr]  # every text matches
    return key, value


def labelled(overrides: Sequence[str]) -> list[str]:
    """The overrides that tell the jobs of an experiment apart."""
    return [override for override in overrides if not UNLABELLED.fullmatch(key_of(override))]


def names_sweep_option(override: str) -> bool:
    """Whether it says only how the jobs of a sweep run; a job alone needs it not."""
    return re.split(r"[.@]", key_of(override))[0] in ("executor", "on_error")


def folder_of(overrides: Sequence[str]) -> str:
    """The label as the name of a folder. Different overrides never share one: what cannot be written gets a digest.

    `experiment=` is no part of it: each experiment has a folder of its own.
    """
    shown, distinct = labelled(overrides), [item for item in overrides if key_of(item) != "experiment"]
    label = ",".join(shown)
    is_plain = PLAIN.fullmatch(label) and not any("," in override for override in shown)
    if shown == distinct and len(label) <= MAX_NAME_BYTES and (is_plain or not shown):
        return label or "run"
    digest = hashlib.sha256(json.dumps(distinct).encode()).hexdigest()[:16]
    readable = re.sub(r"[^\w=.,+-]|^\.", "_", label, flags=re.ASCII)
    return f"{readable[: MAX_NAME_BYTES - 17]}~{digest}"  # no plain label has a tilde


def shell_command(words: Sequence[str]) -> str:
    """`piecewise train WORDS`, quoted for a POSIX shell."""
    return shlex.join(["piecewise", "train", *words])
