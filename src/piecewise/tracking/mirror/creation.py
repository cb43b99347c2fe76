"""Creating a run in MLflow, with all that is known before it trains."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from piecewise.journal.records import Input, Start
from piecewise.tracking.mirror.formatting import as_text, experiment_tags, flatten, run_tags
from piecewise.tracking.mirror.lookup import create_once, find_run, restore_experiment
from piecewise.tracking.mirror.points import milliseconds
from piecewise.tracking.tags import HEARTBEAT, PROCESS, RUN_ID

if TYPE_CHECKING:
    from mlflow import MlflowClient

MAX_PARAMS = 100  # that MLflow accepts in one batch


class RunCreator:
    """Creates experiments and runs in one store; an embedded store keeps their files in `artifacts`."""

    def __init__(self, client: MlflowClient, artifacts: Path | None) -> None:
        self.client = client
        self.artifacts = artifacts
        self._experiments: dict[str, str] = {}  # MLflow's id of each experiment, by name

    def create(self, start: Start) -> str:
        """Create a run from a journal's first record; MLflow's id of the run."""
        own = {RUN_ID: start.id, PROCESS: as_text(start.process), HEARTBEAT: str(int(time.time()))}
        tags = run_tags(start.tags) | own
        parent = find_run(self.client, start.parent) if start.parent else None
        if parent is not None:
            tags["mlflow.parentRunId"] = parent.info.run_id
        run = self.client.create_run(self._experiment(start), milliseconds(start.time), tags, start.title)
        return str(run.info.run_id)

    def _experiment(self, start: Start) -> str:
        name = start.name
        if name not in self._experiments:
            location = (self.artifacts / name).as_uri() if self.artifacts is not None else None
            found = self.client.get_experiment_by_name(name)
            if found is None:
                create_once(lambda: self.client.create_experiment(name, location, experiment_tags(start.tags)))
                found = self.client.get_experiment_by_name(name)
            assert found is not None
            if found.lifecycle_stage == "deleted":
                restore_experiment(self.client, found.experiment_id)
            self._experiments[name] = found.experiment_id
        return self._experiments[name]


def log_parameters(client: MlflowClient, start: Start, run_id: str) -> None:
    """Log the configuration, option by option, and the training data."""
    from mlflow.entities import Param

    params = [Param(key, value) for key, value in flatten(start.config)]
    for first in range(0, len(params), MAX_PARAMS):
        client.log_batch(run_id, params=params[first : first + MAX_PARAMS])
    log_inputs(client, start.inputs, run_id)


def log_inputs(client: MlflowClient, inputs: dict[str, Input], run_id: str) -> None:
    """Log data sets; the keys of `inputs` say what each is used for."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    for purpose, data in inputs.items():
        # MLflow keeps 36 characters of a digest; the tag keeps all.
        source = json.dumps({"uri": data.source})
        dataset = Dataset(data.name, data.digest[:32], "local", source, profile=json.dumps(data.profile))
        tags = [InputTag("mlflow.data.context", purpose), InputTag("sha256", data.digest)]
        client.log_inputs(run_id, [DatasetInput(dataset, tags)])
