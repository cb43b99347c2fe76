"""The parent run of several jobs."""

from __future__ import annotations

import shlex
from typing import Any

from piecewise.jobs.about import experiments, read_about
from piecewise.jobs.job import Job
from piecewise.jobs.provenance import git_state
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder, new_id
from piecewise.journal.writer import Journal
from piecewise.processes import this_process
from piecewise.project import Project
from piecewise.stopping import Stopped


class Sweep:
    """The parent's journal. A single job has no parent, and then nothing is written."""

    def __init__(self, run_id: str, folder: RunFolder, jobs: list[Job]) -> None:
        self.folder = folder
        self.jobs = jobs
        self.has_failed = False
        record = read_journal(folder.journal)
        self.is_resumed = record is not None
        self.id = record.start.id if record is not None else run_id
        self._journal = Journal(folder.journal) if len(jobs) > 1 else None

    def __enter__(self) -> Sweep:
        if self._journal is not None and self.is_resumed:
            self._journal.resume(process=this_process().as_dict())
        elif self._journal is not None:
            name = self.jobs[0].name
            tags = {**describe(self.jobs[0]), "sweep.num_jobs": str(len(self.jobs))}
            title = f"{name} sweep of {len(self.jobs)}"
            about = {"id": self.id, "name": name, "label": "", "title": title, "tags": tags, "num_jobs": len(self.jobs)}
            self._journal.start(**about, process=this_process().as_dict())
        return self

    def facts_of(self, job: Job) -> dict[str, Any]:
        """What the journal of one of the jobs records besides the job."""
        if self._journal is None:
            return {"id": self.id, "tags": describe(job)}
        return {"id": new_id(), "tags": describe(job), "parent": self.id}

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._journal is not None:
            status = "FINISHED" if kind is None and not self.has_failed else "FAILED"
            self._journal.end("KILLED" if kind is Stopped else status, best=best_of(self.folder))
            self._journal.__exit__(None, None, None)


def best_of(folder: RunFolder) -> str | None:
    """The id of the finished job with the lowest `val/nll`; None before one has finished."""
    found = []
    for path in folder.children:
        record = read_journal(path, with_metrics=False)
        if record is not None and record.end is not None and record.end.val_nll is not None:
            found.append((record.end.val_nll, record.start.id))
    return min(found)[1] if found else None


def describe(job: Job) -> dict[str, str]:
    """Tags for a reader a year later: the question, the command that repeats the run, the state of the source."""
    conf = Project.find().conf
    about = read_about(conf, job.name) if job.name in experiments(conf) else {}
    chosen = [f"experiment={job.name}"] if about else []
    command = shlex.join(["piecewise", "train", *chosen, *(f"{key}={value}" for key, value in job.overrides.items())])
    note = "\n\n".join(part for part in (about.get("question"), f"`{command}`") if part)
    return {**git_state(), "command": command, "mlflow.note.content": note}
