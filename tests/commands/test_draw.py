"""`piecewise draw`: figures on demand, of a run or of a sweep and its jobs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from piecewise.cli import main
from piecewise.journal.run_folder import RunFolder
from piecewise.manifest import manifest_faults
from piecewise.project import Project
from small_project import TINY

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's
CURVES = "figures/learning_curves.svg"


def train(project: Project, *words: str) -> Path:
    """Train, and return the folder of the run or sweep."""
    assert main(["train", *words]) == 0
    return sorted((project / "runs").glob("2*"))[-1]


def artifacts(project: Project) -> set[str]:
    return {path.name for path in (project / "mlartifacts").rglob("*.*") if ".manifests" not in path.parts}


def test_a_run_without_figures_is_drawn_and_sealed_again(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    root = train(project, *TINY, "figures=none")
    assert not (root / "figures").exists()
    capsys.readouterr()
    assert main(["draw", "last"]) == 0
    assert manifest_faults(root) == {}
    assert f"runs/{root.name}/{CURVES}" in capsys.readouterr().out.splitlines()
    drawn = (root / CURVES).read_bytes()
    (root / CURVES).write_text("damaged")
    assert main(["draw", "last"]) == 0
    assert (root / CURVES).read_bytes() == drawn
    assert manifest_faults(root) == {}
    assert not project.store.exists()  # the run is not tracked


def test_a_sweep_is_drawn_again_and_its_jobs_on_demand(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    root = train(project, "-m", *TINY, "executor=inline", "model.width=2,3")
    table = (root / "results.csv").read_bytes()
    for path in (root / "results.csv", root / "figures" / "metric_over_axis.svg"):
        path.write_text("damaged")
    assert main(["draw", root.name]) == 0
    assert (root / "results.csv").read_bytes() == table
    assert (root / "figures" / "metric_over_axis.svg").read_text().startswith("<?xml")
    assert not list(root.glob("0*/figures/*.svg"))
    assert main(["draw", root.name, "--all"]) == 0
    assert [path.parent.parent.name for path in sorted(root.glob(f"0*/{CURVES}"))] == ["0000", "0001"]
    assert [manifest_faults(place) for place in (root, root / "0000", root / "0001")] == [{}, {}, {}]


def test_what_cannot_be_drawn_is_refused(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    root = train(project, *TINY, "evaluate=false")
    capsys.readouterr()
    assert main(["draw", "last"]) == 2
    assert "is not evaluated; piecewise evaluate 2" in capsys.readouterr().err
    assert main(["draw", "last", "--all"]) == 2
    assert "is one run; allowed for a sweep" in capsys.readouterr().err
    with RunFolder.at(root).held():
        assert main(["draw", "last"]) == 75
    assert "is being written: its run goes on in process" in capsys.readouterr().err
    (root / "training" / "result.json").unlink()
    assert main(["draw", "last"]) == 1
    assert "the training has not finished" in capsys.readouterr().err


@pytest.mark.slow
def test_new_figures_go_to_mlflow(
    project: Project, empty_store: None, monkeypatch: pytest.MonkeyPatch, restore_tracking_uri: None
) -> None:
    tracked = [word for word in TINY if word != "tracking=none"]
    root = train(project, *tracked, "figures=none", "log_model=none")
    assert "learning_curves.svg" not in artifacts(project)
    assert main(["draw", root.name]) == 0
    assert "learning_curves.svg" in artifacts(project)
    with closing(sqlite3.connect(project.store)) as store:
        assert store.execute("SELECT status FROM runs").fetchall() == [("FINISHED",)]
