"""`tracking=server`: a real MLflow server on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from piecewise.cli import main
from servers import RealServer
from small_project import TINY

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def server(project: Path) -> Iterator[str]:
    server = RealServer(project.parent / "server")
    server.start()
    yield server.address
    server.stop()


def test_run_arrives_whole_at_a_server_and_not_in_the_embedded_store(server: str, project: Path) -> None:
    from mlflow import MlflowClient

    options = [item for item in TINY if not item.startswith("tracking")]
    assert main(["train", *options, "tracking=server", f"tracking.uri={server}"]) == 0
    client = MlflowClient(server)
    (experiment,) = [found for found in client.search_experiments() if found.name != "Default"]
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert set(run.data.metrics) >= {"train/nll", "val/nll", "test/nll", "test/squared_error"}
    artifacts = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert artifacts == {"config", "figures", "results.json", "manifest.json"}
    assert len(run.outputs.model_outputs) == 1
    assert not (project / "mlflow.db").exists()
