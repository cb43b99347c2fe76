"""What a trained model says about examples it has not seen."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import torch
from torch import Tensor

from piecewise.data.spec import Examples, TargetKind
from piecewise.errors import BadInput
from piecewise.jobs.job import read_job
from piecewise.journal.folder import RunFolder
from piecewise.runs.evaluate import load_parts
from piecewise.runs.train import read_result
from piecewise.training.evaluation import outputs_of


def predict(folder: RunFolder, path: Path) -> str:
    """CSV: the mode of the predicted distribution for each example in `path`, and the probabilities of classes.

    Raises BadInput if the file does not hold the model's inputs, or the data that prepare them are no longer the run's.
    """
    if not path.is_file():
        raise BadInput(f"--input={path} {'is no file' if path.exists() else 'does not exist'}")
    recorded = read_result(folder)["digests"]["data"]
    parts = load_parts(read_job(folder.job), folder)
    if parts.source.digest("train") != recorded:
        raise BadInput(f"the training data of this run have changed, and with them how inputs are prepared: {path}")
    inputs = parts.source.inputs(path)
    outputs = outputs_of(parts.model, Examples(inputs, torch.zeros(len(inputs)))).double()
    columns = _named("prediction", parts.loss.mode(outputs)) | _probabilities(parts.loss.kind, outputs)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
    return text.getvalue()


def _probabilities(kind: TargetKind, outputs: Tensor) -> dict[str, Tensor]:
    if kind is TargetKind.CLASS:
        return {f"probability_{number}": column for number, column in enumerate(outputs.softmax(dim=1).unbind(1))}
    return {"probability": outputs.sigmoid().flatten()} if kind is TargetKind.BINARY else {}


def _named(name: str, values: Tensor) -> dict[str, Tensor]:
    """(N,) or (N, 1) as one column, (N, C) as C numbered ones."""
    if values.ndim == 1 or values.shape[1] == 1:
        return {name: values.flatten()}
    return {f"{name}_{number}": column for number, column in enumerate(values.unbind(1))}
