"""Predictions of a trained model for the examples in a file."""

import csv
import io
from pathlib import Path

import torch
from torch import Tensor

from piecewise.analysis.trained import load_trained
from piecewise.data.spec import Examples
from piecewise.errors import BadInput
from piecewise.journal.run_folder import RunFolder, read_result
from piecewise.losses.likelihood import NegativeLogLikelihood
from piecewise.training.evaluation import are_not_finite, outputs_of

INTERVAL = 0.95  # probability between the columns `low` and `high`


def predict(folder: RunFolder, path: Path) -> str:
    """CSV with a line for each example in `path`: the mode of the predicted distribution, its central interval of
    probability INTERVAL if targets have an order, and its parameters.

    Raises BadInput if the file does not hold the model's inputs, if these are so large that an output overflows, or if
    the run's training data, by which inputs are scaled, have changed.
    """
    if not path.is_file():
        raise BadInput(f"--input={path} {'is no file' if path.exists() else 'does not exist'}")
    recorded = read_result(folder)["digests"]["data"]
    parts = load_trained(folder)
    if parts.source.digest("train") != recorded:
        raise BadInput(f"{path} cannot be predicted: inputs are scaled by this run's training data, which have changed")
    inputs = parts.source.inputs(path)
    outputs = outputs_of(parts.model, Examples(inputs, torch.zeros(len(inputs)))).double()
    wrong = are_not_finite(outputs).nonzero().flatten().tolist()
    if wrong:
        raise BadInput(
            f"{path}: the model's outputs are not finite for {len(wrong)} of {len(inputs)} examples, the first of them "
            f"example {wrong[0] + 1}; allowed: inputs that do not overflow"
        )
    columns = described(parts.loss, outputs)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
    return text.getvalue()


def described(loss: NegativeLogLikelihood, outputs: Tensor) -> dict[str, Tensor]:
    """The distributions that `outputs`, (N, D_o), parametrise, as columns (N,) by name."""
    columns = _named("prediction", loss.mode(outputs))
    for name, share in (("low", (1 - INTERVAL) / 2), ("high", (1 + INTERVAL) / 2)):
        quantile = loss.quantile(outputs, share)
        columns |= {} if quantile is None else _named(name, quantile)
    for name, parameter in loss.link(outputs).items():
        columns |= _named(name, parameter)
    return columns


def _named(name: str, values: Tensor) -> dict[str, Tensor]:
    """(N,) and (N, 1) become one column, (N, C) becomes C numbered columns, (N, C, D) becomes C·D with two numbers."""
    if values.ndim == 1 or values[0].numel() == 1:
        return {name: values.flatten()}
    indices = torch.cartesian_prod(*map(torch.arange, values.shape[1:])).reshape(values[0].numel(), -1).tolist()
    return {"_".join([name, *map(str, index)]): values[(slice(None), *index)] for index in indices}
