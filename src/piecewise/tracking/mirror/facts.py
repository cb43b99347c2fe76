"""What a journal states about a run becomes tags in MLflow; its evaluation becomes metrics and inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from piecewise.durable import read_json
from piecewise.journal.reader import RunRecord
from piecewise.journal.records import Metrics
from piecewise.journal.run_folder import RunFolder
from piecewise.tracking.mirror.creation import log_inputs
from piecewise.tracking.mirror.formatting import flatten
from piecewise.tracking.mirror.points import as_mlflow
from piecewise.tracking.mirror.run_contents import evaluation_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

TAGGED = ("job_digest", "run_key", "digests", "numerics", "weights_digest", "num_parameters", "reason")
MAX_TAGS = 100  # that MLflow accepts in one batch


def log_tags(client: MlflowClient, run_id: str, tags: dict[str, str]) -> None:
    """Set many tags with few requests: each request to a server takes time."""
    from mlflow.entities import RunTag

    entities = [RunTag(key, value) for key, value in tags.items()]
    for first in range(0, len(entities), MAX_TAGS):
        client.log_batch(run_id, tags=entities[first : first + MAX_TAGS])


def log_facts(client: MlflowClient, record: RunRecord, folder: RunFolder, run_id: str) -> None:
    """Log what the journal's first and last records state, and the evaluation if there is one."""
    facts = {**record.start.raw, **(record.end.raw if record.end is not None else {})}
    tags = dict(flatten({key: facts[key] for key in TAGGED if key in facts}))
    changed = sorted({part for leg in record.resumed for part in leg.changed})
    log_tags(client, run_id, tags | ({"resume.changed": ",".join(changed)} if changed else {}))
    evaluation = evaluation_of(record, folder)
    if evaluation is not None and record.end is not None:
        # The time is that of the first FINISHED: MLflow drops a repeated point only if its time is equal too.
        point = Metrics(record.finished or record.end.time, record.end.selected_step, read_json(folder.metrics))
        metrics, infinities = as_mlflow([point])
        log_tags(client, run_id, infinities)
        client.log_batch(run_id, metrics)
        log_inputs(client, evaluation.inputs, run_id)
