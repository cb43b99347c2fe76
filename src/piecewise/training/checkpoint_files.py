"""The checkpoint files of a training: each sealed with its digest, the newest two kept.

A checkpoint is `<step>.ckpt`. Its seal `<step>.json` is written after it and holds its size and SHA-256; a checkpoint
without a matching seal does not count. The newest is the one with the most steps: copying changes a file's time.
"""

import contextlib
import hashlib
from fnmatch import fnmatch
from pathlib import Path

from piecewise import terminal
from piecewise.durable import write_atomic
from piecewise.errors import PiecewiseError
from piecewise.manifest import TEMPORARY_PATTERN, AlteredManifest, read_sealed, write_sealed

NUM_KEPT = 2


class AlteredCheckpoint(PiecewiseError):
    """A checkpoint does not match its seal."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} was altered, or never finished")


def path_of(folder: Path, step: int) -> Path:
    """The file of the checkpoint after `step` optimizer steps."""
    return folder / f"{step:09d}.ckpt"


def write(path: Path, data: bytes) -> None:
    """Write and seal a checkpoint, then delete all but the newest two.

    Raises PiecewiseError if it cannot be written, on a full disk for example; the earlier checkpoints stay.
    """
    try:
        write_atomic(path, data)
        write_sealed(_seal(path), {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    except OSError as error:
        remedy = "once it can be, piecewise resume goes on from the checkpoint before it"
        raise PiecewiseError(f"{path} cannot be written: {error.strerror}; {remedy}") from error
    with contextlib.suppress(OSError):  # the next checkpoint deletes again
        _prune(path)


def read(path: Path) -> bytes:
    """The bytes that `write` wrote. Raises AlteredCheckpoint if the file does not match its seal."""
    try:
        data = path.read_bytes()
        sealed = read_sealed(_seal(path))
    except (OSError, AlteredManifest) as error:
        raise AlteredCheckpoint(path) from error
    if (sealed["size"], sealed["sha256"]) != (len(data), hashlib.sha256(data).hexdigest()):
        raise AlteredCheckpoint(path)
    return data


def newest(folder: Path) -> Path | None:
    """The checkpoint with the most steps that matches its seal. Warns of each altered one that it skips."""
    for path in reversed(_all(folder)):
        try:
            read(path)
        except AlteredCheckpoint as error:
            if _seal(path).is_file():  # no seal: a crash interrupted the writing, which is no damage
                terminal.warn(f"{error}; going on from the one before it, if there is one")
        else:
            return path
    return None


def files(folder: Path) -> list[Path]:
    """Every checkpoint in the folder, and the seals."""
    return [path for checkpoint in _all(folder) for path in (checkpoint, _seal(checkpoint)) if path.is_file()]


def remove_all(folder: Path) -> None:
    """Remove every checkpoint, before a new training begins in this folder."""
    _remove(_all(folder))


def _prune(newest: Path) -> None:
    """Keep `newest` and the one before it. Files with more steps failed verification at resume; delete them."""
    checkpoints = _all(newest.parent)
    before = [path for path in checkpoints[: checkpoints.index(newest)] if _seal(path).is_file()]
    kept = {newest, *before[1 - NUM_KEPT :]}
    _remove([path for path in checkpoints if path not in kept])
    for path in newest.parent.iterdir():
        if fnmatch(path.name, TEMPORARY_PATTERN):  # left by a killed writer; there is only one writer at a time
            path.unlink()


def _all(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.ckpt"), key=lambda path: int(path.stem))


def _remove(checkpoints: list[Path]) -> None:
    for path in checkpoints:
        _seal(path).unlink(missing_ok=True)  # first, so that no seal is left without its checkpoint
        path.unlink()


def _seal(path: Path) -> Path:
    return path.with_suffix(".json")
