"""A project whose only experiment is in a sub-folder, through the pipeline and every command that names a run."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from shipped import copy_shipped
from small_project import Pipeline

pytestmark = pytest.mark.slow
NAME, STAGE = "lines/fit", "lines--fit"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    pipeline = copy_shipped(tmp_path_factory.mktemp("nested") / "a project", "least_squares")
    folder = pipeline.root / "conf" / "experiment"
    (folder / "lines").mkdir()
    text = (folder / "least_squares.yaml").read_text().replace("max_epochs: 300", "max_epochs: 4")
    text = text.replace("check_val_every_n_epoch: 50", "check_val_every_n_epoch: 1").replace("least_squares", NAME)
    (folder / f"{NAME}.yaml").write_text(text + 'hydra: {sweeper: {params: {seed: "0,1"}}}\n')
    (folder / "least_squares.yaml").unlink()
    pipeline.edit("dvc.yaml", "least_squares: line", f"{STAGE}: line")
    assert {f"train@{STAGE}", f"evaluate@{STAGE}", "report"} < pipeline.repro()
    return pipeline


def store(pipeline: Pipeline, query: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(pipeline.root / "mlflow.db")) as connection:
        return connection.execute(query).fetchall()


def test_the_pipeline_reproduces_it_and_shows_it(pipeline: Pipeline) -> None:
    assert pipeline.repro() == set()
    page = (pipeline.root / "report" / "index.html").read_text()
    assert f'<section id="{NAME}"' in page
    assert f'<a href="#{NAME}">{NAME}</a>' in page
    assert NAME in pipeline.run("piecewise", "summary")
    metrics = json.loads((pipeline.root / "results" / "metrics" / f"{STAGE}.json").read_text())
    assert "test/nll" in metrics
    assert "test/nll" in pipeline.run("piecewise", "evaluate", f"{NAME} seed=1")
    assert f"dvc repro train@{STAGE} runs it" in pipeline.run("piecewise", "resume", f"{NAME} seed=1", status=2)


def test_mlflow_has_its_experiment_and_its_model(pipeline: Pipeline) -> None:
    names = [
        (name, Path(place).name) for name, place in store(pipeline, "SELECT name, artifact_location FROM experiments")
    ]
    assert (NAME, STAGE) in names
    assert store(pipeline, "SELECT name FROM registered_models") == [(STAGE,)]


def test_a_sweep_of_it_is_listed_shown_resumed_and_verified(pipeline: Pipeline) -> None:
    assert pipeline.run("piecewise", "list").startswith(NAME)
    assert f"# conf/experiment/{NAME}.yaml" in pipeline.run("piecewise", "show", f"experiment={NAME}")
    pipeline.run("piecewise", "train", "-m", f"experiment={NAME}", "fresh=1")  # the pipeline has trained it
    (sweep,) = (pipeline.root / "runs").glob(f"*-{STAGE}")
    assert len(list(sweep.glob("*/training/result.json"))) == 2
    (sweep / "0001" / "training" / "result.json").unlink()  # as if the sweep had been stopped
    pipeline.run("piecewise", "resume", sweep.name)
    assert (sweep / "0001" / "training" / "result.json").is_file()
    assert "nothing is left" in pipeline.run("piecewise", "resume", f"runs/{sweep.name}")
    assert "test/nll" in pipeline.run("piecewise", "evaluate", f"{sweep.name}/0001")
    assert re.search(r"runs +\d+ files .* ok", pipeline.run("piecewise", "verify"))
    pipeline.run("piecewise", "sync")
    assert (NAME, 6) in store(  # with the sweep's parents, of the pipeline and of this test
        pipeline,
        "SELECT experiments.name, COUNT(*) FROM runs JOIN experiments USING (experiment_id) GROUP BY experiments.name",
    )
    assert pipeline.run("piecewise", "clean", "--yes").endswith("removed\n")
