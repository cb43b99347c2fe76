"""A missing, broken or slow server changes no training; a later sync records every point exactly once."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import stored_runs
from many_runs import make_runs
from paused_training import start_training
from piecewise.analysis.draw import draw_run
from piecewise.analysis.evaluate import evaluate_run
from piecewise.cli import main
from piecewise.durable import append_record, open_records, read_records
from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder, read_result
from piecewise.project import Project
from piecewise.tracking.sync.background import BackgroundMirror
from piecewise.tracking.sync.sync_runs import open_mirror, push_all
from servers import BEHAVIOURS, Behaviour, Proxy, RealServer, cuts, delays, drops_reply, passes, stalls
from trials import Trials

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
OPTIONS = ["trainer.max_epochs=100", "data.num_train=200", "batch_size=20", "log_every_n_steps=1"]
EXTRA_SECONDS = 15.0  # a tracked command may take this much longer: the store's 10 s, and 5 s for a busy machine


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "piecewise", *arguments]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)


def train_until_asked(project: Project, proxy: Proxy) -> tuple[int, str, float, RunFolder]:
    """Train, pausing until the first request to the proxy. Returns exit code, stderr, seconds unpaused, run folder."""
    before, began = proxy.count, time.monotonic()
    training = start_training(project, *OPTIONS, "tracking=server", f"tracking.uri={proxy.address}")
    paused = training.pause_until(lambda: proxy.count > before, "a request")
    _, stderr = training.process.communicate(timeout=300)
    return training.process.returncode, stderr, time.monotonic() - began - paused, training.folders[0]


def assert_finished(address: str, folder: RunFolder) -> int:
    """Assert that the server's run is FINISHED and has every point of the journal once. Returns their number."""
    from mlflow import MlflowClient

    return stored_runs.assert_finished(MlflowClient(address), folder)


def assert_one_model(address: str, folder: RunFolder) -> None:
    """Assert that the server has the run's figures, one complete model, and one registered version of it."""
    from mlflow import MlflowClient

    client = MlflowClient(address)
    run = stored_runs.run_of(client, folder)
    names = {item.path for item in client.list_artifacts(run.info.run_id, "figures")}
    assert names == {f"figures/{path.name}" for path in folder.figures.iterdir()}
    (output,) = run.outputs.model_outputs
    assert str(client.get_logged_model(output.model_id).status) == "READY"
    (version,) = client.search_model_versions(f"run_id = '{run.info.run_id}'")
    assert version.source == f"models:/{output.model_id}"
    aliases = client.get_registered_model(version.name).aliases.keys()
    assert {alias.rpartition("-")[0] or alias for alias in aliases} == {"best", "best-curve1d-squared_error"}


def test_a_misbehaving_server_changes_no_training_and_a_later_sync_is_complete(
    project: Project, real: RealServer, proxy: Proxy, plan: Callable[..., list[Job]], trials: Trials
) -> None:
    untracked = RunFolder.at(project / "untracked")
    train(plan(*OPTIONS, "tracking=none")[0], untracked)
    began = time.monotonic()
    assert command("train", *OPTIONS, "tracking=none").returncode == 0
    usual = time.monotonic() - began
    names = list(BEHAVIOURS)
    for number, rng in enumerate(trials("servers that misbehave: trained alike, told once, all there later", 12)):
        name = names[number] if trials.share >= 1 else rng.choice(names)
        proxy.behaviour = BEHAVIOURS[name]
        status, stderr, taken, folder = train_until_asked(project, proxy)
        assert status == 0, (name, stderr)
        assert stderr.count("not in MLflow") == 1, (name, stderr)
        assert "Traceback" not in stderr
        assert taken < 2 * usual + EXTRA_SECONDS, name
        assert read_result(folder)["weights_digest"] == read_result(untracked)["weights_digest"]
        proxy.behaviour = passes
        assert main(["sync"]) == 0
        assert assert_finished(real.address, folder) > 1000


def copy_with_new_id(run: RunFolder, place: Path, piecewise_id: str) -> RunFolder:
    """Copy a run to `place` under another id, so that it counts as another run."""
    shutil.copytree(run.journal.parent, place)
    folder = RunFolder.at(place)
    records = list(read_records(folder.journal))
    folder.journal.unlink()
    with open_records(folder.journal) as file:
        for record in records:
            append_record(file, record | ({"id": piecewise_id} if record["kind"] == "start" else {}))
    return folder


def test_a_lost_reply_repeats_nothing(
    project: Project, real: RealServer, proxy: Proxy, plan: Callable[..., list[Job]], trials: Trials
) -> None:
    """The lost reply may be to any request of a push: run, points, files, model, or the model's registration."""
    (job,) = plan(*OPTIONS, "trainer.max_epochs=2", "tracking=server", f"tracking.uri={proxy.address}")
    first = RunFolder.at(project / "first")
    train(job, first)
    evaluate_run(first)
    draw_run(first)
    for number, rng in enumerate(trials("replies lost, the first to the sixtieth: one run, each point once", 60)):
        folder = copy_with_new_id(first, project / "runs" / str(number), f"reply {trials.seed} {number}")
        lost, before = number + 1 if trials.share >= 1 else rng.randrange(1, 61), proxy.count
        proxy.behaviour = drops_reply(lost)
        done = push_all(proxy.address, [folder], partial(open_mirror, proxy.address))
        assert done.problems == [], lost
        assert proxy.count - before > lost, "the push has fewer requests"
        assert assert_finished(real.address, folder) > 3
        assert_one_model(real.address, folder)


def mirror_at_the_end(proxy: Proxy, folders: list[RunFolder]) -> float:
    """Let the background process send runs that have ended already. Returns how long a command would wait."""
    mirror, began = BackgroundMirror(proxy.address, folders), time.monotonic()
    mirror.close()
    return time.monotonic() - began


def stalls_after(count: int) -> Behaviour:
    numbers = itertools.count()
    return lambda handler, body: (passes if next(numbers) < count else stalls)(handler, body)


def test_a_command_waits_for_many_runs_and_not_for_a_silent_server(
    project: Project, real: RealServer, proxy: Proxy, trials: Trials, capfd: pytest.CaptureFixture[str]
) -> None:
    """All runs together take longer than the ten seconds that one answer may take."""
    for number, rng in enumerate(trials("many runs and a slow server: all there at the end of the command", 4)):
        names = [f"slow-{trials.seed}-{number}-", f"silent-{trials.seed}-{number}-"]
        slow, silent = (
            [RunFolder.at(path.parent) for path in make_runs(project.runs, 12, prefix=name)] for name in names
        )
        proxy.behaviour = delays(0.2 + 0.3 * rng.random())
        assert mirror_at_the_end(proxy, slow) > 20
        said = capfd.readouterr()
        assert "runs left to send to MLflow: 12; Ctrl-C leaves them to piecewise sync" in said.out
        assert said.err == ""
        for folder in slow:
            assert assert_finished(real.address, folder) == 20
        proxy.behaviour = stalls_after(rng.randrange(50))
        assert mirror_at_the_end(proxy, silent) < 60  # 10 s, and to import MLflow on a busy machine
        assert capfd.readouterr().err.endswith(
            f"not in MLflow: {proxy.address}: it has not answered for 10 s; piecewise sync brings the rest\n"
        )


def test_a_slow_or_torn_network_changes_no_training_and_loses_nothing(
    project: Project, real: RealServer, proxy: Proxy, plan: Callable[..., list[Job]], trials: Trials
) -> None:
    untracked = RunFolder.at(project / "untracked")
    train(plan(*OPTIONS, "tracking=none")[0], untracked)
    behaviours = (delays(2), cuts(4))
    for number, rng in enumerate(trials("a network of 2 s a reply, a torn one: trained alike, all there later", 2)):
        proxy.behaviour = behaviours[number] if trials.share >= 1 else rng.choice(behaviours)
        status, stderr, _, folder = train_until_asked(project, proxy)
        assert status == 0, stderr
        assert stderr.count("not in MLflow") == stderr.count("\n") <= 1, stderr
        assert read_result(folder)["weights_digest"] == read_result(untracked)["weights_digest"]
        proxy.behaviour = passes
        assert main(["sync"]) == 0
        assert assert_finished(real.address, folder) > 1000
        assert_one_model(real.address, folder)
