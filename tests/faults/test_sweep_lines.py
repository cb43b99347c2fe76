"""Sweeps of any grammar have the jobs, or the error, that they would have if Hydra composed each job anew."""

from __future__ import annotations

import pytest

from composed_anew import outcome, outcome_anew
from piecewise.project import Project
from sweep_lines import add_experiments, draw
from trials import Trials


def test_a_sweep_has_the_jobs_that_are_composed_anew(
    project: Project, trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("piecewise.execution.trial._refusal", lambda parts: None)  # slow, and the same for both
    add_experiments(project)
    for rng in trials("generated sweeps planned as if each job were composed anew", 500):
        words = draw(rng)
        assert outcome(project.conf, words) == outcome_anew(project.conf, words), words
