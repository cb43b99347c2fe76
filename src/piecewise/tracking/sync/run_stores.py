"""Which store a run belongs to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from piecewise.durable import read_json
from piecewise.errors import BadInput
from piecewise.jobs.job import read_job
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project
from piecewise.tracking.store.open import EMBEDDED


def store_of(folder: RunFolder) -> str | None:
    """The store that the run's job names; None if it names none. Raises BadInput if the job is damaged."""
    # A sweep's parent has no job; its first child names the store.
    paths = [folder.job, *sorted(folder.training.parent.glob("*/training/job.json"))]
    job = next((read_job(path) for path in paths if path.is_file()), None)
    return None if job is None else job.config.tracking.uri


def named_stores(folders: Iterable[RunFolder]) -> Iterator[str]:
    """The stores that the runs name. Damaged jobs are left out."""
    for folder in folders:
        with contextlib.suppress(BadInput):
            yield from filter(None, [store_of(folder)])


def tracking_uri(project: Project) -> str | None:
    """The store of the pipeline's runs, as `compose` froze it; None if they are untracked."""
    path = project.build / "tracking.json"
    uri = read_json(path).get("uri") if path.is_file() else EMBEDDED
    return uri if uri is None else str(uri)
