"""A mirror to an empty embedded store, and a run to push."""

from __future__ import annotations

import shutil
from pathlib import Path

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


@pytest.fixture(scope="session")
def made_run(composed_tiny_job: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `run` copies. Made once per session, because making it takes most of a second."""
    root = tmp_path_factory.mktemp("made")
    folder = RunFolder.at(place := root / "one")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        train(composed_tiny_job, folder, {"id": "first", "tags": {"git.commit": "abc"}})
        evaluate_run(folder)
        draw_run(folder)
    return place


@pytest.fixture
def run(project: Project, made_run: Path) -> RunFolder:
    return RunFolder.at(shutil.copytree(made_run, project / "runs" / "one"))
