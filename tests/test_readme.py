"""The README keeps its word: its table is the record's, and its pictures and files are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from piecewise.jobs.about import experiments, read_about
from piecewise.project import Project
from piecewise.report.results import collect

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
ROW = re.compile(r"^\| `(\w+)`(?: (\S+))? \| `(\S+)` \| ([≤≥]) (\S+) \| (\S+?)(?: ± (\S+))? \| (\d+) \|$", re.MULTILINE)


def test_it_is_short_and_what_it_names_is_there() -> None:
    assert len(TEXT.splitlines()) <= 250
    named = re.findall(r"\]\(([^)#:]+)\)", TEXT) + [
        f"src/piecewise/{name}" for name in re.findall(r"`(\w+/\w+\.py)`", TEXT)
    ]
    assert len(named) > 5
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_expectation_is_in_the_table_and_met_by_its_number() -> None:
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
    """Within what other processors change: four standard deviations, or a hundredth."""
    monkeypatch.chdir(ROOT)
    measured = {
        (row.experiment, row.label, row.metric): row for result in collect(Project(ROOT)) for row in result.rows
    }
    if not measured:
        pytest.skip("make repro has not run here")
    for name, label, metric, _, bound, found, _, count in ROW.findall(TEXT):
        row = measured[name, label, metric]
        assert int(count) == len(row.values)
        tiny = 1e-3 * float(bound)  # a number far below its bound is only rounding
        assert float(found) == pytest.approx(row.mean, rel=0.01, abs=max(4 * (row.spread or 0), tiny))
