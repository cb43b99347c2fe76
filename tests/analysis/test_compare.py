from __future__ import annotations

import csv
import itertools
import time
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


@pytest.mark.parametrize("labels", [["seed=0", "seed=1"], ["a=1", "a=1"]], ids=["seeds", "none"])
def test_sweeps_without_an_axis_get_no_figure(labels: list[str]) -> None:
    assert draw([member(label, 0.5) for label in labels], METRIC) == {}


@pytest.mark.parametrize("names", [("a", "b", "c"), ("a", "b", "c", "d"), tuple("abcdefgh")], ids=len)
def test_more_options_get_a_panel_each_with_the_mean_over_the_others(names: tuple[str, ...]) -> None:
    """The metric is a known function of the values, and the seed adds what cancels: the means have a closed form."""
    members = []
    for values in itertools.product((1, 2), (10, 20), *[(0, 4)] * (len(names) - 2)):
        label = ",".join(f"{name}={value}" for name, value in zip(names, values, strict=True))
        truth = values[0] + values[1] / 100 + sum(values[2:])
        members += [member(f"{label},seed={seed}", truth + noise) for seed, noise in ((0, -0.5), (1, 0.5))]
    figures = draw(members, METRIC)
    assert list(figures) == ["metric_over_axes"]
    figure = figures["metric_over_axes"]()
    shown = {axes.get_xlabel(): axes for axes in figure.axes}
    assert len(shown) == min(len(names), 6)
    others = 4 * (len(names) - 2) / 2
    if len(names) <= 6:
        dots, line = shown["a"].lines
        assert line.get_xydata().tolist() == [[1, pytest.approx(1.15 + others)], [2, pytest.approx(2.15 + others)]]
        assert len(dots.get_xydata()) == 2 ** len(names)
        assert shown["b"].lines[1].get_ydata().tolist() == pytest.approx([1.6 + others, 1.7 + others])
    assert shown["c"].lines[1].get_ydata().tolist() == pytest.approx([1.65 + others - 2, 1.65 + others + 2])
    assert figure.axes[0].get_ylabel() == METRIC
    assert figure.get_label().startswith(f"{METRIC} from 1.1 (1, 10, 0")


def test_two_options_with_many_values_each_get_panels() -> None:
    """Such as those of a random search: a line for each value would hide what they have in common."""
    members = [member(f"lr={n / 1000},width={(7 * n) % 40 + 1}", n / 100) for n in range(1, 41)]
    figures = draw(members, METRIC)
    assert list(figures) == ["metric_over_axes"]
    axes = {axes.get_xlabel(): axes for axes in figures["metric_over_axes"]().axes}
    (dots,) = axes["lr"].lines
    assert dots.get_xydata().tolist() == [[n / 1000, n / 100] for n in range(1, 41)]
    assert axes["lr"].get_xscale() == "log"


def test_a_large_table_of_two_options_has_lines_but_no_heat_map() -> None:
    members = [member(f"depth={d},width={w}", w / 100) for d in range(12) for w in range(1, 60)]
    figures = draw(members, METRIC)
    assert list(figures) == ["metric_over_axis"]
    assert len(figures["metric_over_axis"]().axes[0].lines) == 12


def test_the_table_has_a_line_for_each_job() -> None:
    failed = Member(member("model.width=9,seed=0", None).job, {}, state="FAILED")
    waiting = Member(member("model.width=10,seed=0", None).job, {}, state="")
    rows = list(csv.DictReader(table([*WIDTHS, member("model.width=9,seed=0", 0.7), failed, waiting]).splitlines()))
    assert list(rows[0]) == ["number", "model.width", "seed", "state", "test/nll", METRIC]
    numbers = {"test/nll": str(1 - 0.7), METRIC: "0.7"}
    assert rows[-3] == {"number": "4", "model.width": "9", "seed": "0", "state": "FINISHED", **numbers}
    unmeasured = {"seed": "0", "test/nll": "", METRIC: ""}
    assert rows[-2] == {"number": "5", "model.width": "9", "state": "FAILED", **unmeasured}
    assert rows[-1] == {"number": "6", "model.width": "10", "state": "", **unmeasured}
    assert len(rows) == 7


def test_the_table_has_the_number_by_which_the_best_job_is_chosen() -> None:
    job = member("model.width=9", None).job
    members = [
        Member(job, {METRIC: 0.5}, val_nll=0.1 + 0.2),
        Member(job, {}, val_nll=1.5),  # evaluate=false
        Member(job, {}, state="FAILED"),
    ]
    assert table(members).splitlines() == [
        f"number,state,val/nll,{METRIC}",
        f"0,FINISHED,{0.1 + 0.2},0.5",
        "1,FINISHED,1.5,",
        "2,FAILED,,",
    ]
    assert "val/nll" not in table([member("model.width=9", 0.5)])  # the pipeline's tables have none


def test_ten_thousand_jobs_are_compared_in_seconds(tmp_path: Path) -> None:
    """What is looked up for each job is counted: it grows with the jobs, not with their square."""
    labels = [f"optimizer.lr={n % 100},model.width={n // 100},seed=0" for n in range(10_000)]
    members = [member(label, n / 1e4) for n, label in enumerate(labels)]
    begun = time.process_time()
    assert compare(RunFolder.at(tmp_path), members) == ["metric_over_axes"]
    assert time.process_time() - begun < 20  # 2 s on an idle machine
    rows = (tmp_path / "results.csv").read_text().splitlines()
    assert rows[10_000] == f"9999,99,99,FINISHED,{1 - 0.9999},0.9999"


def test_jobs_without_metrics_are_in_the_table_alone_and_one_job_is_not_compared(tmp_path: Path) -> None:
    folder = RunFolder.at(tmp_path)
    assert compare(folder, [WIDTHS[0]]) == []
    assert compare(folder, []) == []
    assert not folder.figures.exists()
    failed = Member(member("model.width=5,seed=0", None).job, {}, state="FAILED")
    assert compare(folder, [WIDTHS[0], failed]) == []  # one point is no figure
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 3
    assert compare(folder, [*WIDTHS, failed], draws=False) == []
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 6
    folder.figures.mkdir()
    (folder.figures / "results.csv").write_text("of an earlier version")
    assert compare(folder, [*WIDTHS, failed]) == ["metric_over_axis"]
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 6
    assert [path.name for path in folder.figures.iterdir()] == ["metric_over_axis.svg"]


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
        f"number,experiment,seed,state,{METRIC}",
        "0,deep,0,FINISHED,0.25",
        "1,deep,1,FINISHED,0.25",
        "2,wide,0,FINISHED,0.75",
        "3,wide,1,FINISHED,0.75",
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
    assert list(rows[0]) == ["number", "seed", "trainer.max_steps", "state", METRIC]
