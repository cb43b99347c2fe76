"""Expectations judged by hand-made runs: met, not met, or undecided with the reason; none is dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from piecewise.cli import main
from piecewise.durable import write_json
from piecewise.jobs.expectations import Expectation
from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project
from piecewise.report.judge import Row, Verdict, judge
from piecewise.report.page import write_report
from piecewise.report.results import collect, markdown_table, not_met, text_table
from piecewise.report.runs import Group, Run, group_runs

SCORE = "test/accuracy"
FOLDER = RunFolder.at(Path("nowhere"))
MET, NOT_MET, UNDECIDED = Verdict


def run(width: int, seed: int, value: float | None) -> Run:
    config = {"model": {"width": width, "kernel": [3, 3]}, "seed": seed, "patience": None}
    metrics = {"test/nll": 0.5} | ({} if value is None else {SCORE: value})
    return Run(Job("wide", (f"model.width={width}", f"seed={seed}"), config), metrics, FOLDER)


def groups(*values: float | None, width: int = 3) -> list[Group]:
    return group_runs([run(width, seed, value) for seed, value in enumerate(values)])


def judged(found: list[Group], **item: Any) -> list[Row]:
    return judge("wide", Expectation.parse({"metric": SCORE, **item}), found)


@pytest.mark.parametrize(
    ("bounds", "verdict"),
    [
        ({"at_least": 0.5}, MET),  # the mean is exactly 0.5
        ({"at_most": 0.5}, MET),
        ({"at_least": 0.5000001}, NOT_MET),
        ({"at_most": 0.4999999}, NOT_MET),
        ({"at_least": 0.25, "at_most": 0.75}, MET),
        ({"at_least": 0.25, "at_most": 0.4}, NOT_MET),
        ({"at_least": 0.6, "at_most": 0.75}, NOT_MET),
    ],
)
def test_the_mean_over_seeds_is_compared_with_every_bound(bounds: dict[str, float], verdict: Verdict) -> None:
    (row,) = judged(groups(0.25, 0.75), **bounds)
    assert (row.verdict, row.judgement, row.mean) == (verdict, str(verdict), 0.5)
    for key, sign in (("at_least", "≥"), ("at_most", "≤")):
        assert (sign in row.bound) == (key in bounds)


def test_a_mean_that_is_no_number_meets_nothing() -> None:
    assert judged(groups(float("nan"), 1.0), at_most=2)[0].verdict is NOT_MET


@pytest.mark.parametrize(("value", "verdict"), [(1.0, "as expected: 1 seed"), (0.0, "NOT as expected: 1 seed")])
def test_one_seed_is_named(value: float, verdict: str) -> None:
    (row,) = judged(groups(value), at_least=0.5)
    assert row.judgement == verdict


@pytest.mark.parametrize(
    ("found", "item", "reason"),
    [
        ([], {}, "no results yet"),
        (groups(1.0), {"when": {"model.width": 4}}, "no run has model.width=4"),
        (groups(1.0), {"when": {"model.depth": 3, "seed": 0}}, "no run has model.depth=3, seed=0"),
        (groups(None, None), {}, "2 of 2 runs lack this metric"),
        (groups(1.0, None, 1.0), {}, "1 of 3 runs lack this metric"),
    ],
)
def test_what_cannot_be_decided_says_why(found: list[Group], item: dict[str, Any], reason: str) -> None:
    (row,) = judged(found, at_least=0.5, **item)
    assert (row.verdict, row.judgement) == (UNDECIDED, f"undecided: {reason}")


def test_what_has_no_results_yet_says_which_runs_are_meant() -> None:
    assert [row.label for row in judged([], at_least=0.5, when={"model.width": 3})] == ["model.width=3"]
    assert [row.label for row in judged([], at_least=0.5)] == [""]


def test_each_group_that_a_condition_fits_is_judged_by_the_runs_it_fits() -> None:
    found = groups(0.0, 1.0) + groups(1.0, 1.0, width=20)
    assert [row.verdict for row in judged(found, at_least=0.9)] == [NOT_MET, MET]
    for when in ({"model.width": 20}, {"model.width": 20, "model.kernel": [3, 3], "patience": None}):
        assert [row.label for row in judged(found, at_least=0.9, when=when)] == ["model.width=20"]
    of_seed = judged(found, at_least=0.9, when={"seed": 1, "model.width": 3})
    assert [(row.values, row.verdict) for row in of_seed] == [([1.0], MET)]  # a group has runs of several seeds


@pytest.fixture
def composed(project: Project) -> Project:
    """One experiment that was not run, one that expects nothing, two that cannot be composed."""
    expected = [{"metric": SCORE, "at_least": 0.5, "at_most": 0.6}]
    abouts = {
        "waits": {"question": "Does it wait?", "expected": expected},
        "asks": {"question": "Does it only ask?"},
        "broken": {"question": "Is it whole?", "expected": expected, "error": "optimizer.lrr=1 is no option"},
        "misspelt": {"question": "Is it old?", "expected": [{"metrik": SCORE}]},
    }
    write_json(project / "build" / "about.json", abouts)
    return project


SAID = [
    "undecided: no results yet",
    "undecided: cannot be composed: optimizer.lrr=1 is no option",
    "undecided: cannot be composed: about.expected has {'metrik': 'test/accuracy'}, which names no metric",
]


def test_every_experiment_is_shown_with_or_without_results(composed: Project) -> None:
    results = collect(composed)
    page, table = write_report(composed).read_text(), text_table(results)
    for name in ("waits", "asks", "broken", "misspelt"):
        assert f'<section id="{name}"' in page
        assert name in table
    for said in SAID:
        assert said.replace("'", "&#39;") in page
        assert said in table
        assert said in markdown_table(results)
    assert "≥ 0.5 and ≤ 0.6" in table
    assert "4 experiments; 0 of 3 numbers are as expected, 3 undecided" in page
    assert len(not_met(results)) == 3


def test_strict_summaries_fail_unless_all_is_as_expected(composed: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary"]) == 0
    assert main(["summary", "--strict"]) == 1
    assert SAID[0] in capsys.readouterr().out
    write_json(composed / "build" / "about.json", {"asks": {"question": "Does it only ask?"}})
    assert main(["summary", "--strict"]) == 0
