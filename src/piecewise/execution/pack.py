"""Packs: files with jobs that run together, and all that a process needs to take them to their end.

A pack holds one job. The file is written when the pack starts, and removed when it has ended.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from piecewise.durable import read_json
from piecewise.errors import BadInput
from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder

VERSION = 1
PACKS = "packs"  # in a sweep's folder


@dataclass(frozen=True)
class Pack:
    """A job, the folder of its run, and what to do with it."""

    path: Path
    number: int  # of the job in its sweep
    job: Job
    folder: RunFolder
    facts: dict[str, Any]  # for the first record of the run's journal
    digests: dict[str, str]  # of the source and the lock
    attempt: int = 1
    is_resumed: bool = False  # go on with what is in the folder
    evaluates: bool = True  # after the training, unless the job says evaluate=false
    draws: bool = True

    def write(self) -> None:
        content = {
            "version": VERSION,
            "number": self.number,
            "jobs": [self.job.as_dict()],
            "folder": self.folder.as_text(),
            "facts": self.facts,
            "digests": self.digests,
            "attempt": self.attempt,
            "is_resumed": self.is_resumed,
            "evaluates": self.evaluates,
            "draws": self.draws,
        }
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text(json.dumps(content, ensure_ascii=False), "utf-8")  # read at once, and kept by nobody

    @classmethod
    def read(cls, path: Path) -> Pack:
        """The pack in a file. Raises BadInput if the file is missing, damaged or of another version."""
        content = read_json(path)
        version = content.pop("version", None)
        if version != VERSION:
            raise BadInput(f"{path}: version {version!r} cannot be read; allowed: {VERSION}")
        (job,), folder = content.pop("jobs"), RunFolder.from_text(content.pop("folder"))
        return cls(path=path, job=Job.from_dict(job, path), folder=folder, **content)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
