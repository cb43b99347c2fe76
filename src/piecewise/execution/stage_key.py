"""Whether the next `dvc repro` continues the training that a stage has left in its live folder."""

from pathlib import Path

from piecewise.durable import write_atomic
from piecewise.dvc_files import recorded_stage
from piecewise.jobs.digests import canonical_digest
from piecewise.journal.names import train_stage
from piecewise.project import Project

# In the live folder. It holds the digest of the jobs' run keys; after the training also that of the stage in dvc.lock.
KEY = "key"


def write_key(folder: Path, key: str, is_over: bool = False) -> None:
    """Record which jobs train in a live folder, and whether all are trained."""
    write_atomic(folder / KEY, (key + (_recorded(folder) if is_over else "")).encode())


def is_continued(folder: Path, key: str) -> bool:
    """Whether the jobs are the same, and DVC has not recorded the stage since: it may have been killed before."""
    return _read(folder) in (key, key + _recorded(folder))


def is_recorded(folder: Path) -> bool:
    """Whether all jobs are trained and DVC has recorded the stage, so that the next `dvc repro` begins anew."""
    written = _read(folder)
    return len(written) > len(_recorded(folder)) and not written.endswith(_recorded(folder))


def _read(folder: Path) -> str:
    path = folder / KEY
    return path.read_text("utf-8") if path.is_file() else ""


def _recorded(folder: Path) -> str:
    """A digest of the stage's entry in dvc.lock, which changes when DVC records the stage."""
    return canonical_digest(recorded_stage(Project(), train_stage(folder.name)))
