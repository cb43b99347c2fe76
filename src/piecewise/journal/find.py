"""Finding a run again by what a person remembers of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from piecewise import terminal
from piecewise.errors import BadInput, nearest
from piecewise.journal.reader import read_start
from piecewise.journal.records import Start
from piecewise.journal.run_folder import RunFolder, all_runs
from piecewise.project import Project

LAST = "last"
SHOWN = 5  # runs that a message names


@dataclass(frozen=True)
class KnownRun:
    """A run that has a journal."""

    folder: RunFolder
    start: Start

    @property
    def place(self) -> Path:
        """The folder a person would look into."""
        return self.folder.training if self.folder.is_of_pipeline else self.folder.journal.parent

    @property
    def names(self) -> set[str]:
        """Everything the run may be called: id, title, and its folder below runs/ (of a sweep: `folder/0003`)."""
        names = {self.start.id, self.start.title}
        if self.folder.is_of_pipeline:
            return names
        parts = self.place.parts
        return names | {"/".join(parts[parts.index("runs") + 1 :])}


def find_run(project: Project, text: str) -> KnownRun:
    """The run called `text`: a name of it, the beginning of one, or `last`. Raises BadInput if none or several are."""
    if not text.strip():
        raise BadInput("RUN is empty; allowed: an id, the beginning of one, a title, a folder, or last")
    runs = known_runs(project)
    if not runs:
        raise BadInput(f"run {text!r}: there are no runs below {project}; piecewise train makes one")
    if text == LAST:
        return runs[-1]
    wanted = text.removeprefix("./").removeprefix("runs/").rstrip("/")
    found = [run for run in runs if wanted in run.names] or [
        run for run in runs if any(name.startswith(wanted) for name in run.names)
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        recent = {name for run in runs[-SHOWN:] for name in (run.start.id, run.start.title)}
        raise BadInput(f"run {text!r} is unknown; {nearest(text, {*recent, LAST})}")
    shown = ", ".join(f"{run.start.id} ({run.start.title})" for run in found[-SHOWN:])
    raise BadInput(f"run {text!r} may be any of {len(found)}: {shown}; give more of the id")


def known_runs(project: Project) -> list[KnownRun]:
    """Every run that has begun its journal, the oldest first; the children of a sweep follow it."""
    runs = []
    for folder in all_runs(project):
        try:
            start = read_start(folder.journal)
        except BadInput as error:
            terminal.warn(f"{error}; piecewise verify says more")
            continue
        if start is not None:
            runs.append(KnownRun(folder, start))
    return sorted(runs, key=lambda run: run.start.time)
