"""Finding the sweeps of a project. Only the first lines of their ledgers are read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from piecewise.errors import BadInput
from piecewise.execution.ledger import LEDGER, read_head
from piecewise.execution.sweep import key_of
from piecewise.jobs.digests import canonical_digest
from piecewise.jobs.job import Job
from piecewise.project import Project


def find_same(project: Project, jobs: Sequence[Job], run_keys: Sequence[str]) -> tuple[Path | None, Path | None]:
    """The folders of the newest sweep of these jobs, and of the newest one that had other source, lock or data."""
    key, results = key_of(jobs), canonical_digest(list(run_keys))
    same = sorted(
        (head["time"], head["results"] == results, root) for root, head in _heads(project) if head["key"] == key
    )
    latest = {is_equal: root for _, is_equal, root in same}
    return latest.get(True), latest.get(False)


def newest(project: Project) -> Path | None:
    """The folder of the sweep that began last."""
    found = [(head["time"], root) for root, head in _heads(project)]
    return max(found)[1] if found else None


def _heads(project: Project) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The folder of each sweep, with the first record of its ledger. Damaged ones are for `piecewise verify`."""
    with contextlib.suppress(FileNotFoundError), os.scandir(project.runs) as entries:
        for entry in entries:
            with contextlib.suppress(BadInput, OSError):
                head = read_head(Path(entry.path, LEDGER))
                if head is not None:
                    yield Path(entry.path), head
