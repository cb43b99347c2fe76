"""Options and fixtures that all tests share."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from piecewise.jobs.job import Job
from piecewise.locks import file_lock
from piecewise.project import Project
from small_project import ROOT, TINY, has_shipped_conf, new_project
from trials import KEY, Trials, is_drawn


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults")
    group.addoption("--fault-share", type=float, default=0.005, help="the share of each promise's trials to run")
    group.addoption("--fault-tests", type=float, default=1.0, help="the share of the tests with trials, drawn by seed")
    group.addoption("--fault-seed", type=int, default=0, help="the seed of the trials; printed, so it can be replayed")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[KEY] = Trials(config.getoption("--fault-share"), config.getoption("--fault-seed"))
    gc.set_threshold(10_000)  # full passes over all that is imported took a tenth of the time


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    share, seed = config.getoption("--fault-tests"), config.getoption("--fault-seed")
    left_out = [item for item in items if "trials" in item.fixturenames and not is_drawn(item.nodeid, share, seed)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):  # a pytest-xdist worker: the main process adds up the counts
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


@pytest.fixture(scope="session", autouse=True)
def _parse_once() -> Iterator[None]:
    """Keep what YAML texts hold: Hydra parses the same configurations anew for each of a thousand jobs."""
    import yaml

    parse, known = yaml.load, {}

    def load(stream: Any, Loader: type) -> Any:
        start = stream.tell() if hasattr(stream, "read") else None
        text = stream if start is None else stream.read()
        if (key := (Loader.__name__, text)) not in known:
            if start is not None:
                stream.seek(start)  # an error names the file
            known[key] = pickle.dumps(parse(stream, Loader))
        return pickle.loads(known[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml, "load", load)
        yield


@pytest.fixture(scope="session", autouse=True)
def _merge_once() -> Iterator[None]:
    """Keep what Hydra merges from the shipped files: it is the same in every project whose files nobody changed."""
    from piecewise.planning.compositions import Composition, Compositions

    merge, known = Compositions._merge, {}

    def merge_once(self: Compositions, overrides: tuple[str, ...]) -> Composition:
        folders = {item.provider: item.path for item in self._loader.get_search_path().get_path()}
        if not has_shipped_conf(Path(folders["main"].removeprefix("file://"))):
            return merge(self, overrides)
        if overrides not in known:
            known[overrides] = merge(self, overrides)
        return known[overrides]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Compositions, "_merge", merge_once)
        yield


@pytest.fixture(autouse=True)
def _restore_process_settings() -> Iterator[None]:
    """Restore signal handlers, umask and PIECEWISE_QUIET, which commands that run in this process change."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    mask = os.umask(0o022)
    os.umask(mask)
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    os.umask(mask)
    os.environ.pop("PIECEWISE_QUIET", None)


@pytest.fixture(autouse=True)
def _keep_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the follower from lowering this process's priority, which could not be raised again for later tests."""
    monkeypatch.setattr("piecewise.tracking.sync.follower.lower_priority", lambda niceness: None)


@pytest.fixture
def restore_tracking_uri() -> Iterator[None]:
    """Restore MLflow's tracking URI after a test whose commands open a store in this process."""
    import mlflow

    before = mlflow.get_tracking_uri()
    yield
    mlflow.set_tracking_uri(before)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with the shipped configurations. The test runs in its folder, whose name has a space."""
    root = new_project(tmp_path / "a project")
    monkeypatch.chdir(root)
    return Project(root)


@pytest.fixture(scope="session")
def built_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new embedded store. Made once per session, because making it takes most of a second."""
    from piecewise.tracking.store.embedded import prepare

    made = Project(tmp_path_factory.mktemp("store"))
    prepare(made)
    return made.store


@pytest.fixture
def empty_store(project: Project, built_store: Path) -> None:
    """Copy a new store into the project. Its first opener must therefore also relocate it."""
    shutil.copy(built_store, project)


@pytest.fixture
def plan(project: Project) -> Callable[..., list[Job]]:
    """`plan("experiment=…", …)` returns the jobs that `piecewise train experiment=… …` would run."""
    from piecewise.planning.plan import plan_command_line

    return lambda *arguments: plan_command_line(project / "conf", list(arguments))


@pytest.fixture(scope="session")
def composed_tiny_job() -> Job:
    """The job of `tiny_job`. Composed once per session, because composing takes a tenth of a second."""
    from piecewise.planning.plan import plan_command_line

    return plan_command_line(ROOT / "conf", TINY)[0]


@pytest.fixture
def tiny_job(project: Project, composed_tiny_job: Job) -> Job:
    """A regression job of two epochs with four steps each."""
    return copy.deepcopy(composed_tiny_job)


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder of the programs that `make server` installs. Skips if they or PostgreSQL are missing."""
    if not any(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        assert "CI" not in os.environ, "CI must run the server tests: install postgresql"
        pytest.skip("no PostgreSQL is installed")
    with file_lock(ROOT / ".venv" / ".server.lock", timeout=600):  # several pytest processes may run at once
        made = subprocess.run(["make", "-C", ROOT, ".venv/server/.ready"], capture_output=True, text=True, check=False)
    if made.returncode:
        assert "CI" not in os.environ, made.stderr
        pytest.skip(f"the packages of docker/server.lock could not be installed: {made.stderr.splitlines()[-1]}")
    return ROOT / ".venv" / "server" / "bin"
