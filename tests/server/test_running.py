"""A real server: it starts, records, restarts killed services, and leaves no process behind."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from piecewise.cli import main
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project
from running_server import API, ARTIFACTS, Server, processes_of, wait_for
from small_project import TINY
from stored_runs import run_of

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
TRAIN = [item for item in TINY if not item.startswith("tracking")]


@pytest.fixture
def client(server: Server, monkeypatch: pytest.MonkeyPatch) -> Any:
    """MLflow's client as piecewise opens it inside the server's project."""
    from piecewise.tracking.store.open import open_store

    monkeypatch.chdir(server.root)
    return open_store(server.uri, Project(server.root))


def test_a_started_server_is_healthy_and_prints_its_address(server: Server) -> None:
    assert server.is_up()
    assert f"MLflow   {server.uri}" in server.output()
    assert len(server.members()) == 3


def test_starting_a_second_server_changes_nothing(server: Server) -> None:
    before = server.members()
    done = server.piecewise("server")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"a server runs already at {server.uri}\n", "")
    assert server.members() == before
    assert server.is_up()


def test_another_project_cannot_use_the_same_port(
    server: Server, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    port = server.uri.rpartition(":")[2]
    assert main(["server", "--port", port]) == 2
    assert f"--port={port} cannot be used" in capsys.readouterr().err


def test_a_training_is_recorded_completely(server: Server, client: Any, tmp_path: Path) -> None:
    assert main(["train", *TRAIN, "tracking=server", f"tracking.uri={server.uri}"]) == 0
    assert main(["sync"]) == 0  # training does not wait for the last upload
    (place,) = (server.root / "runs").glob("2*")
    run = run_of(client, RunFolder.at(place))
    assert run.info.artifact_uri.startswith("mlflow-artifacts:/")
    assert run.info.status == "FINISHED"
    assert set(run.data.metrics) >= {"train/nll", "val/nll", "test/nll", "test/squared_error"}
    assert run.data.params["trainer.max_epochs"] == "2"
    artifacts = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert artifacts == {"config", "figures", "results.json", "manifest.json"}
    assert not (server.root / "mlflow.db").exists()
    svg = client.download_artifacts(run.info.run_id, "figures/fitted_function.svg", str(tmp_path))
    assert Path(svg).read_bytes() == (place / "figures" / "fitted_function.svg").read_bytes()
    (output,) = run.outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert str(model.status) == "READY"
    assert {"MLmodel", "data"} <= {item.path for item in client.list_logged_model_artifacts(model.model_id)}
    assert not (server.root / "mlflow.db").exists()


def test_a_large_artifact_goes_through_the_server_both_ways(
    server: Server, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default, MLflow's client would split the file and send the parts to the store directly."""
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", "1000000")
    large = tmp_path / "large.bin"
    large.write_bytes(Random(1).randbytes(7_000_000))
    run = client.create_run(client.create_experiment(f"large.{time.time_ns()}")).info.run_id
    client.log_artifact(run, str(large))
    (tmp_path / "back").mkdir()
    back = Path(client.download_artifacts(run, "large.bin", str(tmp_path / "back")))
    assert back.read_bytes() == large.read_bytes()


def test_stopping_leaves_no_process_and_restarting_keeps_all_data(server: Server) -> None:
    experiment = server.create("experiments", name="kept")["experiment_id"]
    run = server.create("runs", experiment_id=experiment)["run"]["info"]["run_id"]
    content = Random(0).randbytes(3_000_000)
    assert server.ask("PUT", f"{ARTIFACTS}/{experiment}/{run}/artifacts/x.bin", content).status == 200
    port, password = int(server.uri.rpartition(":")[2]), server.read_json("credentials")["password"]
    done = server.piecewise("server", "--stop")
    assert (done.returncode, done.stdout) == (0, "the server has stopped\n")
    assert server.keeper is not None
    assert server.keeper.wait(5) == 128 + signal.SIGTERM
    assert processes_of(server.root) == []
    assert not (server.root / "runs" / ".server" / "state.json").exists()
    server.start(port)
    assert server.read_json("credentials")["password"] == password
    assert server.ask("GET", f"{API}/runs/get?run_id={run}").json["run"]["info"]["experiment_id"] == experiment
    assert server.ask("GET", f"{ARTIFACTS}/{experiment}/{run}/artifacts/x.bin").status == 200


def test_ctrl_c_stops_all_services(server: Server) -> None:
    assert server.stop(signal.SIGINT) == 128 + signal.SIGINT
    assert processes_of(server.root) == []
    assert "stopped by SIGINT" in server.output()
    server.start()
    assert server.is_up()


def test_killing_the_keeper_leaves_no_process_and_the_server_starts_again(server: Server) -> None:
    assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    wait_for(lambda: processes_of(server.root) == [], "all processes are gone", 30)
    assert (server.root / "runs" / ".server" / "state.json").exists()
    assert server.piecewise("server", "--stop").stdout == "no server runs\n"
    server.start()
    assert server.is_up()


def test_the_server_starts_again_after_all_its_processes_were_killed_at_once(server: Server) -> None:
    for pid in server.members():
        os.kill(pid, signal.SIGKILL)
    server.stop(signal.SIGKILL)
    server.start()
    assert server.is_up()
    assert sum("-m uvicorn" in line for line in processes_of(server.root)) == 1


@pytest.mark.parametrize(("which", "name"), [(0, "PostgreSQL"), (1, "SeaweedFS"), (2, "MLflow")])
def test_a_killed_service_is_restarted(server: Server, which: int, name: str) -> None:
    before = server.members()
    os.kill(before[which], signal.SIGKILL)
    begun = time.monotonic()
    wait_for(lambda: server.members()[which] != before[which] and server.is_up(), f"{name} is back", 120)
    print(f"{name} was back after {time.monotonic() - begun:.1f} s")
    assert [old == new for old, new in zip(before, server.members(), strict=True)].count(False) == 1
    assert f"{name} ended with -9, and is started again" in server.output()
    path = f"{ARTIFACTS}/back/{name}"
    wait_for(lambda: server.ask("PUT", path, b"x").status == server.ask("GET", path).status == 200, "artifacts", 60)


def test_the_server_listens_on_loopback_only(server: Server) -> None:
    inodes = {
        str(link.readlink())
        for process in Path("/proc").glob("[0-9]*")
        if _runs_in(server.members(), process)
        for link in (process / "fd").iterdir()
        if link.is_symlink()
    }
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                listening.append(fields[1].partition(":")[0])
    assert len(listening) >= 12  # one of PostgreSQL, one of MLflow, ten of SeaweedFS
    assert set(listening) == {f"{socket.htonl(0x7F000001):08X}"}


def _runs_in(groups: list[int], process: Path) -> bool:
    """Whether a process runs in one of the process groups, or is a child of a group's leader."""
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] != "Z" and (int(fields[2]) in groups or int(fields[1]) in groups)
