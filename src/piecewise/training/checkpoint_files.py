"""The checkpoints of a training on disk: each sealed with its digest, the newest two kept.

A checkpoint is `<step>.ckpt`, and beside it, written last, `<step>.json` with its size and SHA-256: without a fitting
one it does not exist. They are chosen by step; the time of a file says nothing once it has been copied.
"""

from __future__ import annotations

import contextlib
import hashlib
from fnmatch import fnmatch
from pathlib import Path

from piecewise import terminal
from piecewise.durable import write_atomic
from piecewise.errors import PiecewiseError
from piecewise.manifest import TEMPORARY, AlteredManifest, read_sealed, write_sealed

KEPT = 2


class AlteredCheckpoint(PiecewiseError):
    """A checkpoint whose bytes are not those that were written."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} was altered, or never finished")


def path_of(folder: Path, step: int) -> Path:
    """Where the checkpoint after `step` optimizer steps lies."""
    return folder / f"{step:09d}.ckpt"


def write(path: Path, data: bytes) -> None:
    """Add a generation; those before the one before it go.

    Raises PiecewiseError if it cannot be written, on a full disk for example: those before are as they were then.
    """
    try:
        write_atomic(path, data)
        write_sealed(_seal(path), {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    except OSError as error:
        raise PiecewiseError(
            f"{path} cannot be written: {error.strerror}; once it can be, piecewise resume goes on from the "
            "checkpoint before"
        ) from error
    with contextlib.suppress(OSError):  # the next one tries again
        _prune(path)


def read(path: Path) -> bytes:
    """The bytes that `write` was given. Raises AlteredCheckpoint for any others."""
    try:
        data = path.read_bytes()
        sealed = read_sealed(_seal(path))
    except (OSError, AlteredManifest) as error:
        raise AlteredCheckpoint(path) from error
    if (sealed["size"], sealed["sha256"]) != (len(data), hashlib.sha256(data).hexdigest()):
        raise AlteredCheckpoint(path)
    return data


def newest(folder: Path) -> Path | None:
    """The checkpoint with the most steps that is as it was written; a warning names each one that was passed over."""
    for path in reversed(_all(folder)):
        try:
            read(path)
        except AlteredCheckpoint as error:
            if _seal(path).is_file():  # else a crash came before its end, which is no damage
                terminal.warn(f"{error}; going on from the one before it, if there is one")
        else:
            return path
    return None


def forget(folder: Path) -> None:
    """Remove every checkpoint, before another training begins there."""
    _remove(_all(folder))


def _prune(newest: Path) -> None:
    """Keep `newest` and the one before; what has more steps was refused when this training began."""
    folder = newest.parent
    before = [path for path in _all(folder) if _step(path) < _step(newest) and _seal(path).is_file()]
    kept = {newest, *before[1 - KEPT :]}
    _remove([path for path in _all(folder) if path not in kept])
    for path in folder.iterdir():
        if fnmatch(path.name, TEMPORARY):  # of a writer that was killed; there is only one at a time
            path.unlink()


def _all(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.ckpt"), key=_step)


def _step(path: Path) -> int:
    return int(path.stem)


def _remove(checkpoints: list[Path]) -> None:
    for path in checkpoints:
        _seal(path).unlink(missing_ok=True)  # first, so that never a seal is left alone
        path.unlink()


def _seal(path: Path) -> Path:
    return path.with_suffix(".json")
