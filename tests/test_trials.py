"""`make faults` runs the trials of every promise, and a failed trial can be repeated."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from small_project import ROOT
from trials import Trials, is_drawn


def test_make_faults_runs_every_promise() -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\nfaults:")[2].partition("\n\n")[0]
    places = [ROOT / name for name in re.findall(r"tests/\S+", recipe)]
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)]
    files_with_trials = [path for path in files if re.search(r"\btrials\(", path.read_text())]
    assert len(files_with_trials) > 10
    assert [path for path in files_with_trials if not any(path.is_relative_to(place) for place in places)] == []


@pytest.mark.parametrize(("share", "expected"), [(1, 200), (0.1, 20), (0.0001, 1)])
def test_a_share_is_at_least_one_trial_and_a_seed_repeats_its_draws(share: float, expected: int) -> None:
    trials: Trials = Trials(share, seed=3)
    drawn = [rng.random() for rng in trials("it holds", 200)]
    assert trials.tally == {"it holds": [expected, expected]}
    again: Trials = Trials(share=1, seed=3)
    assert drawn == [rng.random() for rng in again("it holds", 200)][:expected]


def test_each_seed_draws_other_tests() -> None:
    names = [f"test_{number}" for number in range(1000)]
    drawn = [{name for name in names if is_drawn(name, 0.5, seed)} for seed in range(10)]
    assert all(400 < len(some) < 600 for some in drawn)
    assert len(set.union(*drawn)) > 990
    assert drawn[0] == {name for name in names if is_drawn(name, 0.5, 0)} != drawn[1]
    assert all(is_drawn(name, 1.0, 0) for name in names)


def test_a_failed_trial_counts_as_tried_but_not_as_kept() -> None:
    trials: Trials = Trials(share=1, seed=0)
    for number, _ in enumerate(trials("it holds", 5)):
        if number == 2:
            break
    assert trials.tally == {"it holds": [2, 3]}
