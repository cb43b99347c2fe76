"""Extras that cannot be made are said, recorded and left out; the metrics are there all the same."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from piecewise.analysis import draw, figure_arrays
from piecewise.analysis.animate import animate_run
from piecewise.analysis.compare import compare
from piecewise.analysis.draw import draw_run
from piecewise.analysis.evaluate import evaluate_run
from piecewise.analysis.member import Member
from piecewise.cli import main
from piecewise.durable import read_json
from piecewise.execution.train import train
from piecewise.extras import Extras
from piecewise.jobs.job import Job
from piecewise.journal.find import find_run
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project
from piecewise.stopping import Stopped, handle_signals
from small_project import TINY

Plan = Callable[..., list[Job]]
Capture = pytest.CaptureFixture[str]
BUG = "IndexError: no such column (a bug in piecewise: PIECEWISE_DEBUG=1 shows where)"
TABLES = {
    "constant": [[0.3, y] for y in range(9)],
    "one-hot": [[a, 1 - a, a + y] for a in (0, 1) for y in range(4)],
    "wide": np.random.default_rng(0).normal(size=(6, 10)).tolist(),
}


def fail(*arguments: Any, **options: Any) -> NoReturn:
    raise IndexError("no such column")


def left_out(folder: RunFolder) -> dict[str, Any]:
    return read_json(folder.left_out) if folder.left_out.is_file() else {}


def test_an_extra_is_made_or_the_reason_is_said_and_kept(capsys: Capture) -> None:
    extras = Extras("line seed=3")
    assert extras.make("curve", lambda: 7) == 7
    assert extras.make("map", fail) is None
    assert extras.left_out == {"map": BUG}
    assert capsys.readouterr().err == f"warning: line seed=3: map is left out: {BUG}\n"


def test_a_debugger_sees_the_traceback(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIECEWISE_DEBUG", "1")
    Extras("line").make("map", fail)
    said = capsys.readouterr().err
    assert "Traceback (most recent call last)" in said
    assert 'raise IndexError("no such column")' in said


def test_a_signal_during_an_extra_still_stops() -> None:
    def answer_by_an_error() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Stopped as stopped:
            raise ValueError("a library wraps what it meets") from stopped

    with pytest.raises(Stopped), handle_signals():
        Extras("line").make("map", answer_by_an_error)


@pytest.mark.parametrize("name", TABLES)
def test_a_line_without_a_closed_form_has_all_other_metrics(name: str, project: Project, capsys: Capture) -> None:
    table = np.array(TABLES[name], dtype=float)
    header = ",".join([*(f"x{number}" for number in range(table.shape[1] - 1)), "y"])
    np.savetxt(project / "t.csv", table, delimiter=",", header=header, comments="")
    arguments = ["data=csv", "data.path=t.csv", "data.target=y", "data.val_fraction=0.3", "model=linear"]
    arguments += ["batch_size=all", "trainer.max_epochs=2", "tracking=none"]
    assert main(["train", *arguments]) == 0
    said = capsys.readouterr().err
    assert "csv-linear" in said
    assert "distance_to_closed_form is left out: " in said
    assert "do not determine the coefficients" in said
    assert "a bug" not in said
    folder = find_run(project, "last").folder
    assert set(read_json(folder.metrics)) == {"test/nll", "test/squared_error"}
    assert set(left_out(folder)) == {"distance_to_closed_form"}
    assert "do not determine" in read_json(folder.evaluated)["left_out"]["distance_to_closed_form"]
    assert main(["evaluate", "last"]) == 0  # the same metrics again


@pytest.mark.parametrize(
    ("precision", "data", "loss"),
    [
        pytest.param("bf16-true", "curve_1d", "squared_error", marks=pytest.mark.slow),
        ("16-true", "curve_1d", "student_t"),
        pytest.param("bf16-true", "curve_1d", "multivariate_normal", marks=pytest.mark.slow),
        ("bf16-true", "moons", "bernoulli"),
    ],
)
def test_every_precision_gets_every_figure(plan: Plan, project: Project, precision: str, data: str, loss: str) -> None:
    (job,) = plan(*TINY, f"data={data}", f"loss={loss}", f"trainer.precision={precision}")
    folder = RunFolder.at(project / "runs" / "one")
    train(job, folder)
    evaluate_run(folder)
    wanted = {
        "squared_error": ["fitted_function", "unit_by_unit", "learning_curves"],
        "student_t": ["fitted_function", "learning_curves"],
        "multivariate_normal": ["fitted_function", "learning_curves"],
        "bernoulli": ["decision_map", "region_map", "learning_curves"],
    }
    assert draw_run(folder) == wanted[loss]
    if data == "curve_1d":
        assert animate_run(folder, 50).startswith(b"GIF")
    assert left_out(folder) == {}


def test_a_broken_figure_loses_neither_metrics_nor_other_figures(
    tiny_job: Job, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken where its arrays are computed, and where it is drawn. Once mended, the record of it goes."""
    folder = RunFolder.at(project / "runs" / "one")
    train(tiny_job, folder)
    whole = evaluate_run(folder)
    names = draw_run(folder)
    with monkeypatch.context() as patch:
        patch.setattr(figure_arrays, "_units", fail)
        assert evaluate_run(folder) == whole
        patch.setattr(draw, "learning_curves", fail)
        assert draw_run(folder) == ["fitted_function"]
        assert left_out(folder) == {"unit_by_unit": BUG, "learning_curves": BUG}
        assert not (folder.figures / "learning_curves.svg").exists()  # an older one would be taken for new
    evaluate_run(folder)
    assert draw_run(folder) == names
    assert left_out(folder) == {}


def test_an_error_on_the_surface_leaves_the_trained_model(
    plan: Plan, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = plan("data=line", "model=linear", "trainer.max_epochs=2", "tracking=none")
    folder = RunFolder.at(project / "runs" / "one")
    parts = train(job, folder)
    assert parts is not None
    before = [weights.clone() for weights in parts.model.parameters()]
    monkeypatch.setattr(type(parts.loss), "nll", fail)
    with pytest.raises(IndexError):
        figure_arrays._surface(parts, parts.source.train(parts.loss.kind), folder)
    assert all(bool((now == then).all()) for now, then in zip(parts.model.parameters(), before, strict=True))


def test_a_broken_comparison_leaves_its_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = [Member(Job("wide", (f"model.width={width}",), {}), {"test/accuracy": width / 9}) for width in (1, 2)]
    monkeypatch.setattr("piecewise.analysis.compare.metric_over_axis", fail)
    folder = RunFolder.at(tmp_path)
    assert compare(folder, members) == []
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 3
    assert left_out(folder) == {"metric_over_axis": BUG}


def test_regions_are_listed_without_their_figure(
    project: Project, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["train", *TINY, "evaluate=false"]) == 0
    monkeypatch.setattr("piecewise.analysis.regions.fitted_function", fail)
    capsys.readouterr()
    assert main(["regions", "last", "--output", "r.svg"]) == 0
    said = capsys.readouterr()
    assert "linear region" in said.out
    assert f"the figure is left out: {BUG}" in said.err
    assert not (project / "r.svg").exists()
