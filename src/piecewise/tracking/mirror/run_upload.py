"""Sending what a run has besides its points: the metrics of its evaluation, its files and its model."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from piecewise.durable import read_json
from piecewise.journal.reader import RunRecord
from piecewise.journal.records import Metrics
from piecewise.journal.run_folder import RunFolder
from piecewise.tracking.mirror.artifact_digests import ArtifactRecord
from piecewise.tracking.mirror.facts import log_inputs, log_tags
from piecewise.tracking.mirror.models import LoadModel, ModelOf, push_model
from piecewise.tracking.mirror.points import as_mlflow
from piecewise.tracking.mirror.run_contents import evaluation_of, files_of, table_of
from piecewise.tracking.mirror.uploads import Uploads

if TYPE_CHECKING:
    from mlflow import MlflowClient

TABLE = "results.json"


def log_evaluation(client: MlflowClient, record: RunRecord, folder: RunFolder, run_id: str) -> None:
    """Log the metrics of the run's evaluation and the data sets it used, if the run is evaluated."""
    evaluation = evaluation_of(record, folder)
    if evaluation is None or record.end is None:
        return
    # The time is that of the first FINISHED: MLflow drops a repeated point only if its time is equal too.
    point = Metrics(record.finished or record.end.time, record.end.selected_step, read_json(folder.metrics))
    metrics, infinities = as_mlflow([point])
    log_tags(client, run_id, infinities)
    client.log_batch(run_id, metrics)
    log_inputs(client, run_id, evaluation.inputs)


def upload(
    client: MlflowClient,
    artifacts: ArtifactRecord | None,
    record: RunRecord,
    folder: RunFolder,
    run_id: str,
    load: LoadModel | None,
) -> tuple[int, bool]:
    """Send the run's files, and its model if `load` is given; (number of files sent, whether a model was logged).

    The digests of what has arrived are written last, and also after an error.
    """
    uploads, files, table = Uploads(client, run_id), files_of(record, folder), table_of(record, folder)
    with tempfile.TemporaryDirectory() as temporary:
        if table:
            files[TABLE] = Path(temporary, TABLE)
            files[TABLE].write_text(json.dumps(table, indent=1))
        try:
            num_files = uploads.send(files)
            return num_files, load is not None and push_model(client, _model_of(record, run_id), load, artifacts)
        finally:
            if artifacts is not None:
                artifacts.write(run_id, files)
            elif files:
                uploads.record()


def _model_of(record: RunRecord, run_id: str) -> ModelOf:
    step, nll = (record.end.selected_step, record.end.val_nll) if record.end is not None else (0, None)
    return ModelOf(run_id, record.start.name, step, math.inf if nll is None else float(nll))
