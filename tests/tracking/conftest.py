"""A mirror to an empty embedded store, and a run to push."""

from __future__ import annotations

import pytest

from piecewise.analysis.draw import draw_run
from piecewise.analysis.evaluate import evaluate_run
from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project
from piecewise.tracking.mirror.mirror import Mirror
from piecewise.tracking.store.addresses import EMBEDDED
from piecewise.tracking.store.open import open_store


@pytest.fixture
def mirror(project: Project, empty_store: None) -> Mirror:
    return Mirror(open_store(EMBEDDED, project), project)


@pytest.fixture
def run(tiny_job: Job, project: Project) -> RunFolder:
    folder = RunFolder.at(project / "runs" / "one")
    train(tiny_job, folder, {"id": "first", "tags": {"git.commit": "abc"}})
    evaluate_run(folder)
    draw_run(folder)
    return folder
