"""Who trains and follows in the tests' own process leaves that process as it was."""

from __future__ import annotations

import pytest

from piecewise.tracking.sync import follower


@pytest.fixture(autouse=True)
def _no_niceness(monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be taken back: all later tests would stand behind everybody else."""
    monkeypatch.setattr(follower, "_put_behind", lambda nicer: None)
