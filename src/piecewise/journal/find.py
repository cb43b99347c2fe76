"""Finding a run by its id, title or folder."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from piecewise import terminal
from piecewise.errors import BadInput, nearest
from piecewise.journal import index
from piecewise.journal.reader import read_start
from piecewise.journal.records import Start
from piecewise.journal.run_folder import RunFolder, pipeline_runs, runs_below
from piecewise.manifest import JOURNAL
from piecewise.project import Project

LAST = "last"
NUM_SHOWN = 5  # runs named in a message


@dataclass(frozen=True)
class KnownRun:
    """A run that has a journal."""

    folder: RunFolder
    id: str
    title: str
    time: float  # of its start

    @property
    def start(self) -> Start:
        """The first record of its journal. Raises BadInput if that is not what the index says."""
        start = read_start(self.folder.journal) if self.folder.journal.is_file() else None
        if start is None or start.id != self.id:
            raise BadInput(f"{self.folder.journal} is no longer the journal of the run {self.id}")
        return start

    @property
    def names(self) -> set[str]:
        """The names that identify the run: its id, its title, its folder below runs/ (a sweep's job: `folder/0003`)."""
        names = {self.id, self.title}
        if self.folder.is_of_pipeline:
            return names
        parts = self.folder.journal.parent.parts
        return names | {"/".join(parts[parts.index("runs") + 1 :])}

    def is_at(self, path: str) -> bool:
        """Whether `path`, which has no symbolic links, is a folder or the journal of this run alone."""
        folder = self.folder
        own = [folder.journal, folder.training, folder.evaluation, folder.figures, folder.checkpoints]
        own += [] if folder.is_of_pipeline else [folder.journal.parent]
        return path in map(os.path.realpath, own)


def find_run(project: Project, text: str) -> KnownRun:
    """The run with `text` as its name or the beginning of its name.

    `last` is the run that began last; if it is a job of a sweep, the sweep. Raises BadInput if no run or several match.
    """
    if not text.strip():
        raise BadInput("RUN is empty; allowed: an id, the beginning of one, a title, a folder, or last")
    run = _find(known_runs(project), project, text)
    try:
        _ = run.start
    except BadInput:  # a journal was replaced in its folder
        index.drop(project.runs)
        run = _find(known_runs(project), project, text)
    return run


def find_single_run(project: Project, text: str) -> KnownRun:
    """As `find_run`, for verbs that work on one model. Raises BadInput for a sweep."""
    run = find_run(project, text)
    if run.start.is_sweep:
        places = [path.parent if path.name == JOURNAL else path for path in run.folder.children[:1]]
        example = "".join(f", such as {project.name(path)}" for path in places)
        raise BadInput(f"{run.id} ({run.title}) is a sweep; allowed: the id or folder of one of its jobs{example}")
    return run


def _find(runs: list[KnownRun], project: Project, text: str) -> KnownRun:
    if not runs:
        raise BadInput(f"run {text!r}: there are no runs below {project}; piecewise train makes one")
    if text == LAST:
        parents = {run.folder.journal: run for run in runs}
        return parents.get(runs[-1].folder.parent, runs[-1])
    wanted = text.removeprefix("./").removeprefix("runs/").rstrip("/")
    path = os.path.realpath(project / text) if "/" in text else ""
    found = (
        [run for run in runs if wanted in run.names]
        or [run for run in runs if path and run.is_at(path)]
        or [run for run in runs if any(name.startswith(wanted) for name in run.names)]
    )
    if len(found) == 1 or _is_with_its_jobs(found):
        return found[0]  # a sweep comes before its jobs
    if wanted and len(found) > 1 and (project.runs / wanted).is_dir():  # a sweep, of which only the jobs are known
        raise BadInput(
            f"{project.runs / wanted} has no journal that can be read: piecewise verify says what is wrong; "
            "the same piecewise train command goes on with the sweep"
        )
    if not found:
        recent = {name for run in runs[-NUM_SHOWN:] for name in (run.id, run.title)}
        raise BadInput(f"run {text!r} is unknown; {nearest(text, {*recent, LAST})}")
    shown = ", ".join(f"{run.id} ({run.title})" for run in found[-NUM_SHOWN:])
    raise BadInput(f"run {text!r} may be any of {len(found)}: {shown}; give more of the id")


def _is_with_its_jobs(runs: list[KnownRun]) -> bool:
    """Whether these are a sweep and jobs of it, whose ids may begin alike."""
    return len(runs) > 1 and all(run.folder.parent == runs[0].folder.journal for run in runs[1:])


def run_folders(project: Project) -> dict[RunFolder, bool]:
    """The folder of every run, each sweep before its jobs, and whether the index says that the run has ended.

    No journal is read, and the folders of ended runs are not searched for jobs.
    """
    names = index.unended(project.runs)
    others = [*pipeline_runs(project), *runs_below(project.runs, names)]
    return dict.fromkeys(others, False) | {run.folder: True for run in index.ended(project.runs)}


def known_runs(project: Project, damaged: Callable[[str], None] = terminal.warn) -> list[KnownRun]:
    """Every run that has begun its journal, the oldest first. A sweep comes before its jobs.

    Only the journals of runs without an end are read. `damaged` is told of each that cannot be read.
    """
    runs = []
    for folder in [*pipeline_runs(project), *runs_below(project.runs, index.unended(project.runs))]:
        try:
            start = read_start(folder.journal)
        except BadInput as error:
            damaged(f"{error}; piecewise verify says more")
            continue
        except FileNotFoundError:  # removed meanwhile
            continue
        if start is not None:
            runs.append(KnownRun(folder, start.id, start.title, start.time))
    runs += [KnownRun(run.folder, run.id, run.title, run.time) for run in index.ended(project.runs)]
    return sorted(runs, key=lambda run: (run.time, len(run.folder.journal.parts), run.id))
