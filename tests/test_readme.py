"""The README's table has the recorded results, and the files that it names exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from piecewise.errors import PiecewiseError
from piecewise.jobs.about import experiments, read_about
from piecewise.project import Project
from piecewise.report.results import collect

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
ROW = re.compile(r"^\| `(\w+)`(?: (\S+))? \| `(\S+)` \| ([≤≥]) (\S+) \| (\S+?)(?: ± (\S+))? \| (\d+) \|$", re.MULTILINE)


def test_readme_is_short_and_the_files_it_names_exist() -> None:
    assert len(TEXT.splitlines()) <= 250
    named = re.findall(r"\]\(([^)#:]+)\)", TEXT) + [
        f"src/piecewise/{name}" for name in re.findall(r"`(\w+/\w+\.py)`", TEXT)
    ]
    assert len(named) > 5
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_table_has_every_expectation_and_a_result_that_meets_it() -> None:
    rows = ROW.findall(TEXT)
    expected = [
        (name, item["metric"], f"{item.get('at_least', item.get('at_most')):g}")
        for name in experiments(ROOT / "conf")
        for item in read_about(ROOT / "conf", name)["expected"]
    ]
    assert sorted((row[0], row[2], row[4]) for row in rows) == sorted(expected)
    for _, _, _, sign, bound, found, _, _ in rows:
        assert float(found) >= float(bound) if sign == "≥" else float(found) <= float(bound)


def test_the_table_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processors may change a result by at most 1 % or four standard deviations, whichever is more."""
    monkeypatch.chdir(ROOT)
    try:
        results = collect(Project(ROOT))
    except PiecewiseError:
        pytest.skip("make repro has not run here")
    measured = {(row.experiment, row.label, row.metric): row for result in results for row in result.rows}
    for name, label, metric, _, bound, found, _, count in ROW.findall(TEXT):
        row = measured[name, label, metric]
        assert int(count) == len(row.values)
        tiny = 1e-3 * float(bound)  # a result far below its bound is only rounding error
        assert float(found) == pytest.approx(row.mean, rel=0.01, abs=max(4 * (row.spread or 0), tiny))
