"""Runs that version 1 began or finished: they are found, continued, measured, compared and sent like any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from piecewise.cli import main
from piecewise.execution.job_folders import JOBS
from piecewise.jobs.job import read_job, read_jobs
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder
from piecewise.manifest import MANIFEST, manifest_faults, write_manifest
from piecewise.project import Project
from piecewise.tracking.store.addresses import EMBEDDED
from piecewise.tracking.store.open import open_store
from piecewise.tracking.sync.sync_runs import sync
from records_of_version_1 import old_job, rewrite
from small_project import TINY

Capture = pytest.CaptureFixture[str]
RECORD = Path(__file__).parents[1] / "jobs" / "version_1" / "jobs.json"
WORDS = [*TINY, "+trainer.max_steps=6", "model.width=3"]


def test_the_tests_write_jobs_as_version_1_did() -> None:
    written = json.loads(RECORD.read_text())["jobs"]
    assert [old_job(job.as_dict()) for job in read_jobs(RECORD)] == written


def begun(project: Project, *words: str) -> Path:
    """A run of version 1 whose training has not finished."""
    assert main(["train", *WORDS, *words, "evaluate=false"]) == 0
    (folder,) = (project / "runs").glob("2*")
    rewrite(folder)
    place = RunFolder.at(max(folder.glob("0*"), default=folder))
    place.result.unlink()
    for path in (folder / MANIFEST, place.sealed / MANIFEST):
        path.unlink(missing_ok=True)
    return folder


def test_a_run_of_version_1_continues_and_is_measured(project: Project, capsys: Capture) -> None:
    folder = begun(project)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(project)
        assert main(["resume", "last"]) == 0
    assert main(["evaluate", "curve_1d-shallow trainer.max_epochs=2"]) == 0
    record = read_journal(folder / "journal.jsonl")
    assert record is not None
    assert [leg.changed for leg in record.resumed] == [[]]
    assert record.end is not None
    assert record.end.status == "FINISHED"
    assert manifest_faults(folder) == {}
    assert read_job(folder / "training" / "job.json").overrides[-2:] == ("model.width=3", "evaluate=false")
    assert "warning" not in capsys.readouterr().err


@pytest.mark.slow
def test_a_sweep_of_version_1_continues_is_compared_and_measured_together(project: Project) -> None:
    folder = begun(project, "-m", "seed=0,1")
    path = folder / JOBS
    assert json.loads(path.read_text())["version"] == 1
    assert main(["resume", "last", "evaluate=true"]) == 0
    assert main(["evaluate", folder.name]) == 0
    for place in (folder, folder / "0001"):
        assert manifest_faults(place) == {}


@pytest.mark.usefixtures("empty_store", "restore_tracking_uri")
def test_a_run_of_version_1_is_sent_to_mlflow(project: Project) -> None:
    assert main(["train", *WORDS, "evaluate=false", "log_model=none"]) == 0
    (folder,) = (project / "runs").glob("2*")
    rewrite(folder)
    write_manifest(folder)
    assert sync(EMBEDDED, [RunFolder.at(folder)]).problems == []
    client = open_store(EMBEDDED, project)
    (run,) = client.search_runs([found.experiment_id for found in client.search_experiments()])
    assert (run.data.params["model.width"], run.info.status) == ("3", "FINISHED")


def test_a_run_of_version_1_in_16_mixed_does_not_continue_on_a_cpu(project: Project, capsys: Capture) -> None:
    """Version 1 did not say whether it computed in 16-mixed or in bf16-mixed."""
    folder = begun(project, "trainer.precision=bf16-mixed", "trainer.accelerator=cpu")
    path = folder / "training" / "job.json"
    content = json.loads(path.read_text())
    content["config"]["trainer"]["precision"] = "16-mixed"
    path.write_text(json.dumps(old_job({**content, "overrides": [content["label"]]})))
    before = (folder / "journal.jsonl").read_bytes()
    assert main(["resume", "last"]) == 2
    assert "trainer.precision=16-mixed: a CPU has none" in capsys.readouterr().err
    assert (folder / "journal.jsonl").read_bytes() == before
