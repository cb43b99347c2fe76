"""What tests share: a project of their own to work in."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from piecewise.jobs.job import Job
from small_project import TINY

ROOT = Path(__file__).parents[1]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the shipped configurations, in a folder whose name has a space; the test runs inside it."""
    root = tmp_path / "a project"
    shutil.copytree(ROOT / "conf", root / "conf")
    shutil.copy(ROOT / "requirements.lock", root)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def plan(project: Path) -> Callable[..., list[Job]]:
    """`plan("experiment=…", …)`: the jobs that a command line of `piecewise train` makes."""
    from piecewise.jobs.plan import plan_command_line

    return lambda *arguments: plan_command_line(project / "conf", list(arguments))


@pytest.fixture
def tiny_job(plan: Callable[..., list[Job]]) -> Job:
    """A regression of two epochs with four steps each."""
    return plan(*TINY)[0]
