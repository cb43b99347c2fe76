"""Finding a run by its id, title or folder."""

from dataclasses import dataclass

from piecewise import terminal
from piecewise.errors import BadInput, nearest
from piecewise.journal.reader import read_start
from piecewise.journal.records import Start
from piecewise.journal.run_folder import RunFolder, all_runs
from piecewise.project import Project

LAST = "last"
NUM_SHOWN = 5  # runs named in a message


@dataclass(frozen=True)
class KnownRun:
    """A run that has a journal."""

    folder: RunFolder
    start: Start

    @property
    def names(self) -> set[str]:
        """The names that identify the run: its id, its title, its folder below runs/ (a sweep's job: `folder/0003`)."""
        names = {self.start.id, self.start.title}
        if self.folder.is_of_pipeline:
            return names
        parts = self.folder.journal.parent.parts
        return names | {"/".join(parts[parts.index("runs") + 1 :])}


def find_run(project: Project, text: str) -> KnownRun:
    """The run with `text` as its name or the beginning of its name, or the `last` run.

    Raises BadInput if no run or several runs match.
    """
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
        recent = {name for run in runs[-NUM_SHOWN:] for name in (run.start.id, run.start.title)}
        raise BadInput(f"run {text!r} is unknown; {nearest(text, {*recent, LAST})}")
    shown = ", ".join(f"{run.start.id} ({run.start.title})" for run in found[-NUM_SHOWN:])
    raise BadInput(f"run {text!r} may be any of {len(found)}: {shown}; give more of the id")


def known_runs(project: Project) -> list[KnownRun]:
    """Every run that has begun its journal, the oldest first. A sweep comes before its jobs."""
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
