from __future__ import annotations

import csv
from pathlib import Path

import pytest

from piecewise.analysis.compare import compare, draw, main_metric, table
from piecewise.analysis.member import Member
from piecewise.jobs.job import Job
from piecewise.jobs.version_1 import split_label
from piecewise.journal.run_folder import RunFolder

METRIC = "test/accuracy"


def member(label: str, value: float | None) -> Member:
    metrics = {} if value is None else {"test/nll": 1 - value, METRIC: value}
    return Member(Job("x", tuple(split_label(label)), {}), metrics)


WIDTHS = [member(f"model.width={width},seed={seed}", width / 100 + seed / 1000) for width in (20, 3) for seed in (0, 1)]


def test_an_option_with_numbers_is_the_axis_and_seeds_the_band() -> None:
    figures = draw(WIDTHS, METRIC)
    (axes,) = figures["metric_over_axis"]().axes
    assert list(figures) == ["metric_over_axis"]
    assert axes.lines[0].get_xydata().tolist() == [[3, pytest.approx(0.0305)], [20, pytest.approx(0.2005)]]
    band = axes.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (pytest.approx(0.03), pytest.approx(0.201))
    assert axes.get_title(loc="left") == "test/accuracy is 0.0305 at model.width 3, and 0.201 at 20"


def test_two_options_are_drawn_as_lines_and_as_a_heat_map() -> None:
    members = [member(f"optimizer={o},model.width={w}", w / 10) for o in ("adam", "sgd") for w in (1, 2, 3)]
    figures = {name: make() for name, make in draw(members, METRIC).items()}
    assert [line.get_label() for line in figures["metric_over_axis"].axes[0].lines] == [
        "optimizer=adam",
        "optimizer=sgd",
    ]
    assert figures["heat_map"].axes[0].images[0].get_array().tolist() == [[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]]
    assert [tick.get_text() for tick in figures["heat_map"].axes[0].get_xticklabels()] == ["adam", "sgd"]


def test_values_that_are_no_numbers_keep_the_sweeps_order() -> None:
    figures = draw([member(f"loss={name}", 0.5) for name in ("b", "a")], METRIC)
    assert [tick.get_text() for tick in figures["metric_over_axis"]().axes[0].get_xticklabels()] == ["b", "a"]


@pytest.mark.parametrize(
    "labels", [["seed=0", "seed=1"], ["a=1,b=1,c=1", "a=2,b=2,c=2"], ["a=1", "a=1"]], ids=["seeds", "three", "none"]
)
def test_sweeps_with_no_axis_or_three_get_no_figure(labels: list[str]) -> None:
    assert draw([member(label, 0.5) for label in labels], METRIC) == {}


def test_the_table_has_a_line_for_each_job() -> None:
    rows = list(csv.DictReader(table([*WIDTHS, member("model.width=9,seed=0", 0.7)]).splitlines()))
    assert list(rows[0]) == ["model.width", "seed", "test/nll", METRIC]
    assert rows[-1] == {"model.width": "9", "seed": "0", "test/nll": str(1 - 0.7), METRIC: "0.7"}
    assert len(rows) == 5


def test_jobs_without_metrics_are_left_out_and_one_job_is_not_compared(tmp_path: Path) -> None:
    folder = RunFolder.at(tmp_path)
    assert compare(folder, [WIDTHS[0], member("model.width=5,seed=0", None)]) == []
    assert not folder.figures.exists()
    assert compare(folder, [*WIDTHS, member("model.width=5,seed=0", None)]) == ["metric_over_axis"]
    assert len((folder.figures / "results.csv").read_text().splitlines()) == 5


SCORE = "test/squared_error"


@pytest.mark.parametrize(
    ("metrics", "losses", "metric"),
    [
        ([["test/nll", METRIC], ["test/nll", METRIC]], "aa", METRIC),
        ([["test/nll", "test/nll_floor", SCORE]] * 2, "aa", SCORE),  # sorted, as files have them; the floor is no score
        ([["test/nll"], ["test/nll"]], "aa", "test/nll"),
        ([["test/nll", "test/absolute_error"], ["test/nll", SCORE]], "aa", "test/nll"),
        ([["test/nll", "test/absolute_error"], ["test/nll", SCORE]], "ab", None),  # likelihoods of two losses
        ([["test/nll", SCORE], ["test/nll", SCORE]], "ab", SCORE),
    ],
)
def test_the_main_metric_is_a_score_that_all_have(metrics: list[list[str]], losses: str, metric: str | None) -> None:
    members = [
        Member(Job("x", (f"seed={number}",), {"loss": {"_target_": loss}}), dict.fromkeys(keys, 0.5))
        for number, (keys, loss) in enumerate(zip(metrics, losses, strict=True))
    ]
    assert main_metric(members) == metric


def test_jobs_of_two_experiments_are_told_apart(tmp_path: Path) -> None:
    """A label leaves the experiment out: without a column of its own, two experiments would be seeds of one."""
    names = ("deep", "wide")
    metrics = {name: {METRIC: value} for name, value in zip(names, (0.25, 0.75), strict=True)}
    members = [Member(Job(name, (f"seed={seed}",), {}), metrics[name]) for name in names for seed in (0, 1)]
    assert table(members).splitlines() == [
        f"experiment,seed,{METRIC}",
        "deep,0,0.25",
        "deep,1,0.25",
        "wide,0,0.75",
        "wide,1,0.75",
    ]
    (axes,) = draw(members, METRIC)["metric_over_axis"]().axes
    assert axes.lines[0].get_ydata().tolist() == [0.25, 0.75]
    assert "experiment" not in table([Member(Job("a", ("data=a",), {}), metrics["deep"]), members[0]])


def test_an_added_key_is_an_axis_like_any_other() -> None:
    """The axis has the key's name, whatever the notation; a deleted option and a seed are no axis."""
    members = [
        Member(Job("x", (f"{plus}seed={seed}", f"{plus}trainer.max_steps={steps}", "~scheduler"), {}), {METRIC: steps})
        for plus in ("+", "")
        for seed in (0, 1)
        for steps in (100, 20)
    ]
    (axes,) = draw(members, METRIC)["metric_over_axis"]().axes
    assert axes.lines[0].get_xydata().tolist() == [[20, 20], [100, 100]]
    assert axes.get_title(loc="left").endswith("at trainer.max_steps 20, and 100 at 100")
    rows = list(csv.DictReader(table(members).splitlines()))
    assert list(rows[0]) == ["seed", "trainer.max_steps", METRIC]
