"""What each verb of `piecewise` prints, writes and refuses."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from piecewise.cli import VERBS, main
from piecewise.commands.train import conclude
from piecewise.jobs.job import Job
from piecewise.project import Project
from small_project import TINY, new_project

Capture = pytest.CaptureFixture[str]


def run(*arguments: str) -> int:
    return main(list(arguments))


@pytest.fixture(scope="module")
def made_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `runs` with a finished run. It is copied for each test: making one takes most of a second."""
    root = new_project(tmp_path_factory.mktemp("verbs") / "a project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert run("train", *TINY) == 0
    return root / "runs"


@pytest.fixture
def trained(project: Project, made_runs: Path) -> Path:
    """The folder of a finished run."""
    shutil.copytree(made_runs, project / "runs")
    (place,) = (project / "runs").glob("2*")
    return place


@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"train"}))
def test_every_verb_has_a_help(project: Project, capsys: Capture, verb: str) -> None:
    assert run(verb, "--help") == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"usage: piecewise {verb}")
    assert said.err == ""


@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"train", "show", "list"}))
def test_every_verb_refuses_unknown_options(project: Project, capsys: Capture, verb: str) -> None:
    assert run(verb, "--nonsense") == 2
    assert f"piecewise {verb}" in capsys.readouterr().err


def test_dry_run_prints_estimates_and_starts_nothing(project: Project, capsys: Capture) -> None:
    assert run("train", "-m", "--dry-run", *TINY, "model.width=2,3") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert "model.width=3" in lines[1]
    assert lines[-1].startswith("2 jobs, about ")
    assert lines[-1].endswith("; nothing was started")
    assert not (project / "runs").exists()


def test_train_prints_where_run_and_figures_are(project: Project, capsys: Capture) -> None:
    assert run("train", *TINY) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("curve_1d-shallow ")
    assert "test/squared_error" in said[0]
    assert "tracking" not in said[0]  # it is not a varied option
    assert [line.split()[0] for line in said[2:]] == ["run", "figures"]
    for line in said[2:]:
        assert (project / line.split()[-1]).is_dir()


@pytest.mark.parametrize(
    ("uri", "where"), [("sqlite:///mlflow.db", "piecewise ui  (or mlflow ui)"), ("https://a:5000", "https://a:5000")]
)
def test_train_prints_where_runs_can_be_compared(uri: str, where: str, capsys: Capture) -> None:
    conclude("runs/x", uri)
    assert capsys.readouterr().out.splitlines()[-1] == f"compare     {where}"


def test_quiet_prints_only_the_result(project: Project, capsys: Capture) -> None:
    assert run("train", "--quiet", *TINY) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 1
    assert "test/nll" in said.out


def test_evaluate_measures_again_and_reports_a_difference(trained: Path, capsys: Capture) -> None:
    capsys.readouterr()
    recorded = json.loads((trained / "evaluation" / "metrics.json").read_text())
    assert run("evaluate", "last") == 0
    shown = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert {key: float(value) for key, value in shown.items()} == pytest.approx(recorded, rel=1e-9)
    (trained / "evaluation" / "metrics.json").write_text(json.dumps(recorded | {"test/nll": 0.5}))
    assert run("evaluate", "last") == 1
    assert "test/nll is recorded as 0.5, measured now" in capsys.readouterr().err


@pytest.mark.parametrize("typed", [".", "../{}", "./"])
def test_a_folder_is_named_from_where_the_command_is_typed(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, typed: str
) -> None:
    monkeypatch.chdir(trained)
    assert run("evaluate", typed.format(trained.name)) == 0, capsys.readouterr()


def test_evaluate_adds_metrics_and_figures_to_a_run_without_them(project: Project, capsys: Capture) -> None:
    assert run("train", *TINY, "evaluate=false") == 0
    (place,) = (project / "runs").glob("2*")
    assert not (place / "evaluation").exists()
    assert run("evaluate", place.name) == 0
    assert (place / "figures" / "fitted_function.svg").is_file()
    assert run("verify") == 0, capsys.readouterr()


def test_predict_writes_to_its_output(trained: Path, project: Project, capsys: Capture) -> None:
    (project / "x.csv").write_text("x\n0.5\n")
    capsys.readouterr()
    assert run("predict", "last", "--input", "x.csv") == 0
    text = capsys.readouterr().out
    assert text.splitlines()[0] == "prediction,low,high,mu,sigma"
    assert run("predict", "last", "--input", "x.csv", "--output", "y.csv") == 0
    assert (project / "y.csv").read_text() == text
    assert run("predict", "last", "--input", "none.csv") == 2
    assert run("predict", "last", "--input", "x.csv", "--output", ".") == 2
    assert run("predict", "last", "--input", ".") == 2
    assert "is a folder" in capsys.readouterr().err


def test_paths_are_relative_to_the_current_folder(
    trained: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = project / "below"
    below.mkdir()
    (below / "x.csv").write_text("x\n0.5\n")
    monkeypatch.chdir(below)
    assert run("predict", "last", "--input", "x.csv", "--output", "y.csv") == 0
    assert (below / "y.csv").is_file()


def test_resume_of_a_finished_run_does_nothing(trained: Path, capsys: Capture) -> None:
    before = (trained / "journal.jsonl").read_bytes()
    assert run("resume", "last") == 0
    assert "nothing is left to train" in capsys.readouterr().out
    assert (trained / "journal.jsonl").read_bytes() == before


def test_resume_trains_the_remaining_jobs_of_a_sweep(project: Project, capsys: Capture) -> None:
    assert run("train", "-m", *TINY, "executor=inline", "seed=0,1") == 0
    (place,) = (project / "runs").glob("2*")
    lost = place / "0001"
    for name in ("training/result.json", "training/model.safetensors", "evaluation/metrics.json"):
        (lost / name).unlink()
    capsys.readouterr()
    assert run("resume", f"{place.name}/0001") == 0  # naming one job resumes the whole sweep
    assert "seed=1" in capsys.readouterr().out
    assert (lost / "evaluation" / "metrics.json").is_file()


def test_unknown_run_is_refused_before_anything_is_loaded(trained: Path, capsys: Capture) -> None:
    for verb in (["resume", "nope"], ["evaluate", "nope"], ["predict", "nope", "--input", "x.csv"]):
        assert run(*verb) == 2
        assert "run 'nope' is unknown" in capsys.readouterr().err


def test_clean_removes_only_with_yes(trained: Path, capsys: Capture) -> None:
    assert run("clean") == 0
    assert "checkpoints of a finished run" in capsys.readouterr().out
    assert (trained / "checkpoints").is_dir()
    assert run("clean", "--yes") == 0
    assert not (trained / "checkpoints").exists()
    assert run("verify") == 0


def test_an_operating_system_error_is_one_line(
    project: Project, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tiny_job: Job
) -> None:
    (project / "runs").write_text("a file where a folder must be")
    assert run("train", *TINY) == 2
    said = capsys.readouterr().err
    assert "runs cannot be written" in said
    assert said.count("\n") == 1


def test_debug_prints_the_traceback(project: Project, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIECEWISE_DEBUG", "1")
    assert run("train", "model.width=0") == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_ui_refuses_a_port_that_is_taken(project: Project, capsys: Capture) -> None:
    (project / "mlflow.db").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert run("ui", "--port", str(taken.getsockname()[1])) == 2
    assert "cannot be used" in capsys.readouterr().err


def test_ui_reports_a_faulty_store_in_one_line(
    project: Project, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "mlflow.db").write_bytes(b"no database" * 1000)
    assert run("ui", "--port", "0") == 1
    assert "mlflow.db is corrupt (file is not a database); piecewise sync --rebuild" in capsys.readouterr().err
    (project / "mlflow.db").write_bytes(b"")
    monkeypatch.setattr("piecewise.tracking.store.embedded.BUSY_SECONDS", 0.01)
    with closing(sqlite3.connect(project / "mlflow.db", isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        assert run("ui", "--port", "0") == 1
    assert capsys.readouterr().err.endswith("error: mlflow.db: another process is writing to it\n")


def test_ui_refuses_a_project_without_a_store(project: Project, capsys: Capture) -> None:
    assert run("ui") == 2
    assert "has no mlflow.db yet" in capsys.readouterr().err


@pytest.mark.slow
def test_ui_serves_this_machine_only(project: Project, free_port: int, fetch_once_up: Callable[[str], bytes]) -> None:
    assert run("train", *TINY[:-1]) == 0
    command = [sys.executable, "-m", "piecewise", "ui", "--port", str(free_port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert f"http://127.0.0.1:{free_port}" in process.stdout.readline()
        assert fetch_once_up(f"http://127.0.0.1:{free_port}/health") == b"OK"
        listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        assert [place for place in listening if place.endswith(f":{free_port:04X}") and place[:8] == "00000000"] == []
        for header in ({"Host": "rebound.example"}, {"Host": "192.168.0.1"}, {"Origin": "https://elsewhere.example"}):
            address = f"http://127.0.0.1:{free_port}/api/2.0/mlflow/experiments/search"
            request = urllib.request.Request(address, b'{"max_results": 1}', header)
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request, timeout=30)
            assert refused.value.code == 403
            refused.value.close()
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "error: stopped by SIGINT\n")
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{free_port}/health", timeout=5)


@pytest.mark.slow
def test_mlflow_ends_if_ui_is_killed(
    project: Project, empty_store: None, free_port: int, fetch_once_up: Callable[[str], bytes]
) -> None:
    command = [sys.executable, "-m", "piecewise", "ui", "--port", str(free_port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert fetch_once_up(f"http://127.0.0.1:{free_port}/health") == b"OK"
        servers = psutil.Process(process.pid).children(recursive=True)
    finally:
        process.kill()
        process.wait()
    assert servers
    _, alive = psutil.wait_procs(servers, timeout=30)
    for server in alive:
        server.kill()
    assert alive == []


@pytest.fixture
def fetch_once_up() -> Callable[[str], bytes]:
    """`fetch_once_up(address)`: the answer of a server, as soon as it gives one."""

    def fetch(address: str) -> bytes:
        deadline = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(address, timeout=5) as answer:
                    return bytes(answer.read())
            except OSError:
                assert time.monotonic() < deadline, address
                time.sleep(0.2)

    return fetch
