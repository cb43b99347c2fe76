"""What `train -m` prints about a sweep that has ended."""

from __future__ import annotations

import csv
import re

import pytest

from piecewise.cli import main
from piecewise.execution.ledger import LEDGER, Record
from piecewise.project import Project
from small_project import TINY

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's
SWEEP = ["train", "-m", *TINY, "executor=inline"]


def test_the_metrics_of_a_reused_job_have_the_order_of_a_trained_one(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *TINY, "model.width=2"]) == 0
    assert main([*SWEEP, "model.width=2,3"]) == 0
    said = capsys.readouterr().out
    orders = [re.findall(r"test/\w+", line) for line in said.splitlines() if "test/" in line]
    assert orders == [["test/nll", "test/nll_floor", "test/squared_error"]] * 3  # two trainings, and the best job


ONLY_SEEDS = "none: only seeds vary, and a figure needs another key"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["model.width=2", "seed=0,1"], ONLY_SEEDS),
        (["model.width=2,3", "evaluate=false"], "none: no job has test metrics, because of evaluate=false; a figure"),
        (["model.width=2", "optimizer.lr=1e30,0.01"], "none: one job has test metrics; a figure needs two jobs"),
        (["optimizer.lr=1e30,0.01", "seed=0,1"], "none: the jobs that have test metrics differ only in their seeds"),
    ],
)
def test_a_sweep_without_a_figure_says_why(
    words: list[str], reason: str, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*SWEEP, *words])
    assert f"figure  {reason}" in capsys.readouterr().out
    assert main(["draw", "last"]) == 0
    table, line = capsys.readouterr().out.splitlines()
    assert table.endswith("/results.csv")
    assert line.startswith(f"figure of the sweep: {reason}")


def test_a_figure_that_is_there_or_was_not_asked_for_needs_no_reason(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SWEEP, "model.width=2", "seed=0,1,2", "figures=none"]) == 0
    assert "none:" not in capsys.readouterr().out
    assert main([*SWEEP, "model.width=2,3", "seed=0,1"]) == 0
    assert "none:" not in capsys.readouterr().out


def test_figures_that_a_finished_sweep_lacks_are_offered(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SWEEP, "model.width=2,3"]) == 0
    assert "--all" not in capsys.readouterr().out
    assert main([*SWEEP, "model.width=2,3", "figures=all"]) == 0
    (root,) = project.runs.glob("2*")
    offer = f"jobs without figures: 2; piecewise draw {root.name.removesuffix('-curve_1d-shallow')} --all draws them"
    assert offer in capsys.readouterr().out
    assert main(["draw", "last", "--all"]) == 0
    capsys.readouterr()
    assert main([*SWEEP, "model.width=2,3", "figures=all"]) == 0
    assert "--all" not in capsys.readouterr().out


def test_failed_jobs_that_were_not_tried_again_are_told(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*SWEEP, "optimizer.lr=1e30,1e31,1e32", "figures=none", "on_error=stop"]
    assert main([*words[:-1]]) == 1
    assert "3 failed: the same command with retry=1 runs them again" in capsys.readouterr().out
    assert main([*words, "retry=1"]) == 1
    said = capsys.readouterr().out
    assert "goes on with the sweep" in said
    assert "3 failed (2 of them not tried again): the same command" in said
    assert main(words) == 1
    said = capsys.readouterr().out
    assert ("only failed jobs are left" in said, "goes on" in said) == (True, False)
    assert "3 failed: the same command" in said


def test_watch_says_that_the_newest_sweep_is_over(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SWEEP, "model.width=2", "seed=0,1", "evaluate=false"]) == 0
    (root,) = project.runs.glob("2*")
    capsys.readouterr()
    for words in (["watch"], ["watch", "last"]):
        assert main(words) == 0
        first, command, *others = capsys.readouterr().out.splitlines()
        assert re.fullmatch(rf"runs/{root.name}  began \d+ s ago, ended \d+ s ago", first)
        assert command.endswith("seed=0,1 evaluate=false")
        assert others[0].startswith("2 jobs: 2 finished")
    recorded = [str(entry.val_nll) for entry in Record.read(root / LEDGER).entries]
    rows = list(csv.DictReader((root / "results.csv").read_text().splitlines()))
    assert [row["val/nll"] for row in rows] == recorded
