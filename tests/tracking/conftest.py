"""A mirror to an empty embedded store, and a run to bring there."""

from __future__ import annotations

from pathlib import Path

import pytest

from piecewise.jobs.job import Job
from piecewise.journal.folder import RunFolder
from piecewise.runs.draw import draw_run
from piecewise.runs.evaluate import evaluate_run
from piecewise.runs.train import train
from piecewise.tracking.mirror import Mirror
from piecewise.tracking.store import EMBEDDED, open_store


@pytest.fixture
def mirror(project: Path, empty_store: None) -> Mirror:
    return Mirror(open_store(EMBEDDED, project), project)


@pytest.fixture
def run(tiny_job: Job, project: Path) -> RunFolder:
    folder = RunFolder.at(project / "runs" / "one")
    train(tiny_job, folder, {"id": "first", "tags": {"git.commit": "abc"}})
    evaluate_run(folder)
    draw_run(folder)
    return folder
