"""`tracking=server`: a real MLflow server on this machine."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from piecewise.cli import main
from small_project import TINY

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def server(project: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    place = project.parent / "server"
    place.mkdir()
    store = ["--backend-store-uri", "sqlite:///server.db", "--artifacts-destination", "artifacts", "--workers", "1"]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", address.split(":")[1], *store]
    process = subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until_healthy(address, process)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_healthy(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"http://{address}/health", timeout=5).close()
            return
        except OSError:
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server did not answer"
            time.sleep(0.2)


def test_run_arrives_whole_at_a_server_and_not_in_the_embedded_store(server: str, project: Path) -> None:
    from mlflow import MlflowClient

    options = [item for item in TINY if not item.startswith("tracking")]
    assert main(["train", *options, "tracking=server", f"tracking.uri={server}"]) == 0
    client = MlflowClient(server)
    (experiment,) = [found for found in client.search_experiments() if found.name != "Default"]
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert set(run.data.metrics) >= {"train/nll", "val/nll", "test/nll", "test/squared_error"}
    assert {item.path for item in client.list_artifacts(run.info.run_id)} == {"config", "figures"}
    assert len(run.outputs.model_outputs) == 1
    assert not (project / "mlflow.db").exists()
