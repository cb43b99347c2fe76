"""An index of the runs below runs/ that have ended, so that a command reads only the journals of those that have not.

It is a file that can be made again from the journals, a line for each run or sweep. A line counts as long as its folder
is the same one and nothing was added to it or removed from it. A run that goes on after its end leaves the index first.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR
from typing import NamedTuple

from piecewise.durable import write_atomic
from piecewise.journal.reader import read_end, read_start
from piecewise.journal.run_folder import RunFolder, busy, runs_below
from piecewise.locks import file_lock, has_writer

INDEX = ".index"  # below runs/
FORMAT = "piecewise index 2"
LOCK_SECONDS = 60.0  # making the index from 10,000 journals takes 2 s


class Line(NamedTuple):
    """A run or a sweep whose journals have all ended."""

    name: str  # of its folder
    stamp: str  # of its folder: the inode, and the time of its last change, which no copying tool can set
    runs: str  # JSON: [place below the folder, id, title, time of the start, run key, status] for each run


@dataclass(frozen=True)
class Ended:
    """What the index says of a run."""

    folder: RunFolder
    id: str
    title: str
    time: float  # of its start
    run_key: str  # empty for a sweep, and for a run that went on with other source than it began with
    status: str  # FINISHED, FAILED or KILLED


def unended(runs: Path) -> list[str]:
    """The names of the folders below `runs` that may hold a run without an end."""
    known = _read(runs)
    return sorted(name for name, stamp in _stamps(runs) if name not in known or known[name].stamp != stamp)


def ended(runs: Path) -> Iterator[Ended]:
    """Every run whose end is known, without reading its journal."""
    known = _read(runs)
    for name, stamp in _stamps(runs):
        if name in known and known[name].stamp == stamp:
            for place, *facts in json.loads(known[name].runs):
                yield Ended(RunFolder.at(runs / name / place), *facts)


def read_ended(folder: RunFolder) -> Ended | None:
    """What the index would say of a run, from its journal; None if it has no end. Raises BadInput for a damaged one."""
    start, end = read_start(folder.journal), read_end(folder.journal)
    if start is None or end is None:
        return None
    key = start.run_key if end.run_key == start.run_key else ""
    return Ended(folder, start.id, start.title, start.time, key, end.status)


def add_ended(runs: Path, names: Iterable[str]) -> None:
    """Add the folders among `names` whose runs have all ended. Nothing is added if that cannot be done now."""
    names = [name for name in names if _line(runs, name, "")]
    if not names:  # the usual case, for which the folders need not be looked at again
        return
    with contextlib.suppress(OSError), file_lock(runs):  # another process adds, or the disk is full
        stamps = dict(_stamps(runs))
        new = [line for name in names if name in stamps for line in _line(runs, name, stamps[name])]
        if new:
            kept = {name: line for name, line in _read(runs).items() if name in stamps}
            _write(runs, kept | {line.name: line for line in new})


def forget(journal: Path) -> None:
    """Take a run out of the index, since it goes on. Call it while its journal is locked, before anything is recorded.

    Raises TryAgain if another process holds the index, and OSError if the index can be neither changed nor removed.
    """
    for runs in list(journal.parents)[1:3]:  # above a run, or above the sweep of a job
        if (runs / INDEX).is_file():
            with file_lock(runs, LOCK_SECONDS, busy):
                known = _read(runs)
                if known.pop(journal.relative_to(runs).parts[0], None) is not None:
                    try:
                        _write(runs, known)
                    except OSError:  # a full disk
                        drop(runs)


def drop(runs: Path) -> None:
    """Remove the index; the next command makes it again."""
    (runs / INDEX).unlink(missing_ok=True)


def _line(runs: Path, name: str, stamp: str) -> list[Line]:
    """The line of a folder; none if one of its runs goes on, has no end, or cannot be read."""
    found = []
    for folder in runs_below(runs, [name]):
        try:
            run = read_ended(folder)
            if run is None or has_writer(folder.journal):
                return []
        except (ValueError, OSError):
            return []
        place = str(folder.journal.parent.relative_to(runs / name))
        found.append([place, run.id, run.title, run.time, run.run_key, run.status])
    return [Line(name, stamp, json.dumps(found))] if found and name.isprintable() else []


def _stamps(runs: Path) -> Iterator[tuple[str, str]]:
    """The name and stamp of each folder below `runs`."""
    try:
        entries = list(os.scandir(runs))
    except OSError:  # there are no runs
        return
    for entry in entries:
        try:
            status = entry.stat()
        except OSError:  # removed meanwhile
            continue
        if S_ISDIR(status.st_mode):
            yield entry.name, f"{status.st_ino}.{status.st_ctime_ns}"


def _read(runs: Path) -> dict[str, Line]:
    """The index by names of folders; empty if it is missing, damaged or of another version."""
    try:
        first, *lines, last = (runs / INDEX).read_text("utf-8").split("\n")
        fields = [line.split("\t") for line in lines]
        return {name: Line(name, stamp, text) for name, stamp, text in fields} if (first, last) == (FORMAT, "") else {}
    except (OSError, ValueError):
        return {}


def _write(runs: Path, lines: dict[str, Line]) -> None:
    text = "\n".join([FORMAT, *(f"{line.name}\t{line.stamp}\t{line.runs}" for line in lines.values()), ""])
    write_atomic(runs / INDEX, text.encode())
