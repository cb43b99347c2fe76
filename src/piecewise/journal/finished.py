"""The finished runs of a project by run key, so that a sweep trains only what is new."""

from __future__ import annotations

from collections.abc import Iterator

from piecewise.journal import index
from piecewise.journal.index import Ended, read_ended
from piecewise.journal.run_folder import pipeline_runs, runs_below
from piecewise.project import Project


def by_run_key(project: Project) -> dict[str, Ended]:
    """The finished run of each run key. Of several runs: the oldest one that has all its files, or else the newest.

    Only journals that are not in the index are read.
    """
    found: dict[str, Ended] = {}
    for run in sorted(_ended(project), key=lambda run: (run.time, run.id)):
        if run.run_key and run.status == "FINISHED":
            earlier = found.get(run.run_key)
            if earlier is None or not earlier.folder.is_done:
                found[run.run_key] = run
    return found


def _ended(project: Project) -> Iterator[Ended]:
    """Every run of the project that has ended. One whose journal cannot be read is passed over: it is trained again."""
    names = index.unended(project.runs)  # first: a run that enters the index meanwhile is seen twice, not never
    yield from index.ended(project.runs)
    for folder in [*pipeline_runs(project), *runs_below(project.runs, names)]:
        try:
            run = read_ended(folder)
        except (ValueError, OSError):
            continue
        if run is not None:
            yield run
