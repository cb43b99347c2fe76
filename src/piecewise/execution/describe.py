"""What the journal of a run says about where it comes from; looked up once for all runs of a command."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from piecewise.jobs.about import experiments, read_about
from piecewise.jobs.job import Job
from piecewise.jobs.overrides import shell_command
from piecewise.jobs.provenance import git_state, lock_digest
from piecewise.jobs.source import source_digest
from piecewise.project import Project


class Facts:
    """Facts about the runs of one command. Each is looked up when it is first asked for."""

    def __init__(self) -> None:
        self._questions: dict[str, str] = {}

    def of(self, job: Job) -> dict[str, Any]:
        """For the first record of a job's run."""
        return {"tags": self.tags(job.name, job.overrides, job.notes)}

    def digests(self, job: Job) -> dict[str, str]:
        """The digests of the source and the lock that the job runs with."""
        return {"source": source_digest("train", job.frozen), "lock": self._lock}

    def tags(self, name: str, words: Sequence[str], notes: Sequence[str] = ()) -> dict[str, str]:
        """For a reader a year later: the question, the command that repeats the run, the state of the source."""
        command = shell_command(words)
        note = "\n\n".join(part for part in (self._question(name), as_code(command), *notes) if part)
        return {**self._git, "command": command, "mlflow.note.content": note}

    def _question(self, name: str) -> str:
        if name not in self._questions:
            conf = Project.find().conf
            about = read_about(conf, name) if name in experiments(conf) else {}
            self._questions[name] = about.get("question", "")
        return self._questions[name]

    @cached_property
    def _git(self) -> dict[str, str]:
        return git_state()

    @cached_property
    def _lock(self) -> str:
        return lock_digest()


def as_code(text: str) -> str:
    """`text` as code in Markdown; the fence is longer than any row of backquotes in it."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{text}{fence}" if len(fence) == 1 else f"{fence} {text} {fence}"
