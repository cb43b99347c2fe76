"""A server that refuses the login, is missing or lost its store: one warning, and `sync` uploads everything later."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from piecewise.cli import main
from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder, read_result
from piecewise.manifest import digest_file
from piecewise.project import Project
from piecewise.tracking.mirror.uploads import MANIFEST
from running_server import ARTIFACTS, Server, wait_for
from small_project import TINY
from stored_runs import assert_finished, assert_points, run_of

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
NAME, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
Train = Callable[[str], tuple[RunFolder, str]]


@pytest.fixture
def log_in(server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set the login by environment variables, as a user in another project does."""

    def log_in(password: str | None = None) -> None:
        known = server.read_json("credentials")
        monkeypatch.setenv(NAME, known["username"])
        monkeypatch.setenv(PASSWORD, password or known["password"])

    log_in()
    return log_in


@pytest.fixture
def client(server: Server, log_in: Callable[..., None], project: Project) -> Any:
    from piecewise.tracking.store.open import open_store

    return open_store(server.uri, project)


@pytest.fixture
def train_at(project: Project, plan: Callable[..., list[Job]]) -> Train:
    """Train with the command line, recording at an address. Returns the run and its stderr.

    Asserts that the weights equal those of an untracked training.
    """
    untracked = RunFolder.at(project / "untracked")
    train(plan(*TINY)[0], untracked)

    def train_at(uri: str) -> tuple[RunFolder, str]:
        words = [sys.executable, "-m", "piecewise", "train", *TINY[:-1], "tracking=server", f"tracking.uri={uri}"]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        (path,) = project.root.glob("runs/*/journal.jsonl")
        folder = RunFolder.at(path.parent)
        assert read_result(folder)["weights_digest"] == read_result(untracked)["weights_digest"]
        return folder, done.stderr

    return train_at


def assert_warned_once(said: str, what: str) -> None:
    """Assert that stderr is one warning. Its last words depend on whether training ends before the first upload."""
    outlooks = ["training goes on, and piecewise sync brings everything later", "piecewise sync brings the rest"]
    assert said in [f"warning: not in MLflow: {what}; {outlook}\n" for outlook in outlooks]


def test_a_wrong_password_gives_one_warning_and_changes_no_weights(
    server: Server, client: Any, train_at: Train, log_in: Callable[..., None]
) -> None:
    log_in("not the password")
    folder, said = train_at(server.uri)
    assert_warned_once(said, f"{server.uri}: it wants another user name or password; set {NAME} and {PASSWORD}")
    assert main(["sync"]) == 1
    log_in()
    assert main(["sync"]) == 0
    assert assert_finished(client, folder) > 3


def test_an_unknown_host_gives_one_warning_and_can_be_corrected(
    server: Server, client: Any, train_at: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    typo = server.uri.replace("127.0.0.1", "nowhere.invalid")
    folder, said = train_at(typo)
    remedy = "if tracking.uri is wrong, piecewise sync --moved OLD NEW corrects it"
    assert_warned_once(said, f"{typo}: no machine of that name is known; {remedy}")
    assert main(["sync", "--moved", typo, server.uri]) == 0
    assert assert_finished(client, folder) > 3
    capsys.readouterr()
    assert main(["sync"]) == 0  # the correction is remembered
    assert capsys.readouterr().out == "1 runs, 0 brought up to date\n"


@contextmanager
def killed(server: Server) -> Iterator[None]:
    """Kill SeaweedFS while its keeper is frozen and cannot restart it."""
    keeper, before = server.keeper, server.members()[1]
    assert keeper is not None
    keeper.send_signal(signal.SIGSTOP)
    try:
        os.killpg(before, signal.SIGKILL)
        yield
    finally:
        keeper.send_signal(signal.SIGCONT)
    wait_for(lambda: server.members()[1] != before, "SeaweedFS is restarted")


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    """Freeze SeaweedFS: it accepts connections and never answers."""
    store = server.members()[1]
    os.killpg(store, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(store, signal.SIGCONT)


@pytest.mark.parametrize("lost", [killed, frozen])
def test_a_lost_store_changes_no_weights_and_gets_every_file_later(
    server: Server, client: Any, train_at: Train, tmp_path: Path, lost: Callable[[Server], Any]
) -> None:
    with lost(server):
        folder, said = train_at(server.uri)
        assert said.count("warning: not in MLflow: ") == said.count("\n") == 1, said
        assert "piecewise sync brings" in said
        assert assert_points(client, folder) > 3  # the database was up
    path = f"{ARTIFACTS}/back/x"
    wait_for(lambda: server.ask("PUT", path, b"x").status == server.ask("GET", path).status == 200, "the store", 120)
    assert main(["sync"]) == 0
    assert assert_finished(client, folder) > 3
    run = run_of(client, folder)
    place = Path(client.download_artifacts(run.info.run_id, "", str(tmp_path)))
    digests = json.loads((place / MANIFEST).read_text())["files"]
    assert digests["config/model.yaml"] == digest_file(folder.training / "model.yaml")
    figures = {f"figures/{path.name}": digest_file(path) for path in folder.figures.iterdir()}
    assert len(figures) >= 3
    assert digests.items() >= figures.items()
    assert {name: digest_file(place / name) for name in digests} == digests
    (output,) = run.outputs.model_outputs
    assert str(client.get_logged_model(output.model_id).status) == "READY"
