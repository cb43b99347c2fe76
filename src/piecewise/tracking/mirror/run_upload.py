"""Uploading a run's files, its table of results and its model."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from piecewise.journal.reader import RunRecord
from piecewise.journal.run_folder import RunFolder
from piecewise.tracking.mirror.artifact_digests import ArtifactRecord
from piecewise.tracking.mirror.models import LoadModel, ModelOf, push_model
from piecewise.tracking.mirror.run_contents import files_of, table_of
from piecewise.tracking.mirror.uploads import Uploads

if TYPE_CHECKING:
    from mlflow import MlflowClient

TABLE = "results.json"


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
