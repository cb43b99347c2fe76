"""Creating a run at MLflow, with all that is known of it before it is trained."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from piecewise.tracking.mirror.formatting import experiment_tags, flatten, tags_of
from piecewise.tracking.mirror.lookup import bring_back, create_once, find_run
from piecewise.tracking.mirror.points import milliseconds
from piecewise.tracking.tags import HEARTBEAT, PROCESS, RUN_ID

if TYPE_CHECKING:
    from mlflow import MlflowClient

MAX_PARAMS = 100  # that MLflow takes in one batch


class Describe:
    """Experiments, runs, parameters and inputs of one store; `artifacts` is where an embedded one keeps files."""

    def __init__(self, client: MlflowClient, artifacts: Path | None) -> None:
        self.client = client
        self.artifacts = artifacts
        self._experiments: dict[str, str] = {}

    def create(self, start: dict[str, Any]) -> str:
        """A new run for a journal's first record; MLflow's id of it."""
        who = {RUN_ID: start["id"], PROCESS: json.dumps(start.get("process") or {}), HEARTBEAT: str(int(time.time()))}
        tags = tags_of(start) | who
        parent = find_run(self.client, start["parent"]) if start.get("parent") else None
        if parent is not None:
            tags["mlflow.parentRunId"] = parent.info.run_id
        run = self.client.create_run(self._experiment(start), milliseconds(start), tags, start["title"])
        return str(run.info.run_id)

    def parameters(self, start: dict[str, Any], run_id: str) -> None:
        """The configuration, option by option, and the data that is trained on."""
        from mlflow.entities import Param

        params = [Param(key, value) for key, value in flatten(start.get("config", {}))]
        for batch in _batches(params, MAX_PARAMS):
            self.client.log_batch(run_id, params=batch)
        self.inputs(start.get("inputs", {}), run_id)

    def inputs(self, inputs: dict[str, Any], run_id: str) -> None:
        """Data sets, by what they are used for."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        for part, data in inputs.items():
            # The store keeps 36 characters of a digest; the tag has them all.
            source = json.dumps({"uri": data["source"]})
            dataset = Dataset(data["name"], data["digest"][:32], "local", source, profile=json.dumps(data["profile"]))
            tags = [InputTag("mlflow.data.context", part), InputTag("sha256", data["digest"])]
            self.client.log_inputs(run_id, [DatasetInput(dataset, tags)])

    def _experiment(self, start: dict[str, Any]) -> str:
        name = start["name"]
        if name not in self._experiments:
            location = (self.artifacts / name).as_uri() if self.artifacts is not None else None
            found = self.client.get_experiment_by_name(name)
            if found is None:
                create_once(lambda: self.client.create_experiment(name, location, experiment_tags(start)))
                found = self.client.get_experiment_by_name(name)
            assert found is not None
            if found.lifecycle_stage == "deleted":
                bring_back(self.client, found.experiment_id)
            self._experiments[name] = found.experiment_id
        return self._experiments[name]


def _batches(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
