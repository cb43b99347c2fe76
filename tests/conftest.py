"""What tests share: a project of their own to work in."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from piecewise.durable import file_lock
from piecewise.jobs.job import Job
from piecewise.project import Project
from small_project import ROOT, TINY, new_project
from trials import KEY, Trials


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults")
    group.addoption("--fault-share", type=float, default=0.005, help="which part of the trials of each promise to run")
    group.addoption(
        "--fault-seed", type=int, default=0, help="what the trials draw from; printed, so it can be replayed"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[KEY] = Trials(config.getoption("--fault-share"), config.getoption("--fault-seed"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):  # one of several processes: the first one adds up
        session.config.workeroutput["trials"] = session.config.stash[KEY].tally


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    for promise, (kept, tried) in getattr(node, "workeroutput", {}).get("trials", {}).items():
        node.config.stash[KEY].note(promise, kept, tried)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    trials = config.stash[KEY]
    if trials.tally:
        terminalreporter.write_line(f"promises kept, with --fault-seed={trials.seed} --fault-share={trials.share:g}:")
    for promise, (kept, tried) in trials.tally.items():
        terminalreporter.write_line(f"  {kept} of {tried}  {promise}")


@pytest.fixture
def trials(request: pytest.FixtureRequest) -> Trials:
    return request.config.stash[KEY]


@pytest.fixture(autouse=True)
def _as_found() -> Iterator[None]:
    """Commands that run in this process set how it answers signals, who may read its files, and whether it is quiet."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    mask = os.umask(0o022)
    os.umask(mask)
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    os.umask(mask)
    os.environ.pop("PIECEWISE_QUIET", None)


@pytest.fixture(autouse=True)
def _no_niceness(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process cannot take its niceness back: all later tests would run behind everything else."""
    monkeypatch.setattr("piecewise.tracking.sync.follower._lower_priority", lambda niceness: None)


@pytest.fixture
def mlflow_as_it_was() -> Iterator[None]:
    """For commands that run in this process and open a store."""
    import mlflow

    before = mlflow.get_tracking_uri()
    yield
    mlflow.set_tracking_uri(before)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with the shipped configurations, in a folder whose name has a space; the test runs inside it."""
    root = new_project(tmp_path / "a project")
    monkeypatch.chdir(root)
    return Project(root)


@pytest.fixture(scope="session")
def built_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedded store as it is first made, which takes most of a second."""
    from piecewise.tracking.store.embedded import prepare

    made = Project(tmp_path_factory.mktemp("store"))
    prepare(made)
    return made.store


@pytest.fixture
def empty_store(project: Project, built_store: Path) -> None:
    """The project has a store already, which whoever opens it first finds somewhere else than it was made."""
    shutil.copy(built_store, project)


@pytest.fixture
def plan(project: Project) -> Callable[..., list[Job]]:
    """`plan("experiment=…", …)`: the jobs that a command line of `piecewise train` makes."""
    from piecewise.planning.plan import plan_command_line

    return lambda *arguments: plan_command_line(project / "conf", list(arguments))


@pytest.fixture
def tiny_job(plan: Callable[..., list[Job]]) -> Job:
    """A regression of two epochs with four steps each."""
    return plan(*TINY)[0]


@pytest.fixture(scope="session")
def programs() -> Path:
    """Where `make server` installs MLflow's server and its store, once for a checkout; PostgreSQL is there too."""
    if not any(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        assert "CI" not in os.environ, "in CI the server always runs: install postgresql"
        pytest.skip("no PostgreSQL is installed")
    with file_lock(ROOT / ".venv" / ".server.lock", timeout=600):  # several processes test at once
        made = subprocess.run(["make", "-C", ROOT, ".venv/server/.ready"], capture_output=True, text=True, check=False)
    if made.returncode:
        assert "CI" not in os.environ, made.stderr
        pytest.skip(f"the packages of docker/server.lock could not be installed: {made.stderr.splitlines()[-1]}")
    return ROOT / ".venv" / "server" / "bin"
