"""The arrays that a run's figures are drawn from, computed from its model, data and parameter path."""

from collections.abc import Callable, Iterator

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from piecewise.analysis.plane_arrays import plane_outputs, plane_regions
from piecewise.data.spec import Examples, TargetKind
from piecewise.data.synthetic import Synthetic
from piecewise.extras import Extras
from piecewise.figures.ranges import span
from piecewise.jobs.build import Parts
from piecewise.journal.run_folder import RunFolder
from piecewise.losses.squared_error import SquaredError
from piecewise.models import gabor
from piecewise.models.gabor import Gabor
from piecewise.models.linear import Linear
from piecewise.models.shallow import Shallow
from piecewise.theory.joints import piecewise_linear

Arrays = dict[str, Tensor]

NUM_HARDEST = 12
BAND_QUANTILES = 0.025, 0.975  # of the predicted distribution
WITHOUT_Y_AXIS = (TargetKind.CLASS, TargetKind.RANKING)  # targets that a y axis cannot show
NUM_POINTS = 1001  # of a curve on a grid
SURFACE_SIDE = 61  # points along each side of a loss surface
MARGIN = 0.35  # of a loss surface around the path, in lengths of the path
MAX_UNITS = 8  # a shallow network with more is not drawn unit by unit
MAX_FILTERS = 32  # the first ones are drawn


@torch.no_grad()
def arrays_of(parts: Parts, test: Examples, outputs: Tensor, folder: RunFolder, extras: Extras) -> Arrays:
    """Every array that some figure of this model on this data needs. `outputs` are the model's for `test`."""
    parts.model.eval()
    arrays: Arrays = {"outputs": outputs, "targets": test.y}
    for figure, arrays_for in _figures(parts, test, outputs, folder):
        arrays |= extras.make(figure, arrays_for) or {}
    return {name: _as_stored(array) for name, array in arrays.items()}


def _as_stored(array: Tensor) -> Tensor:
    """Contiguous, for safetensors; half precision as float32, because NumPy does not know bfloat16."""
    is_half = array.dtype in (torch.bfloat16, torch.float16)
    return (array.float() if is_half else array).clone(memory_format=torch.contiguous_format)


def _figures(
    parts: Parts, test: Examples, outputs: Tensor, folder: RunFolder
) -> Iterator[tuple[str, Callable[[], Arrays]]]:
    """The figures of this model on this data, each with a function that computes its arrays."""
    num_inputs, kind = parts.spec.num_inputs, parts.loss.kind
    if num_inputs == 1 and kind not in WITHOUT_Y_AXIS:
        train = parts.source.train(kind)
        points = {"train_x": train.x.flatten(), "train_y": train.y}
        yield "fitted_function", lambda: points | function_of(parts, train) | _truth(parts, train)
        yield "unit_by_unit", lambda: _units(parts.model, train)
        yield "loss_surface", lambda: _surface(parts, train, folder)
    elif num_inputs == 2:
        train = parts.source.train(kind)
        if kind in (TargetKind.BINARY, TargetKind.CLASS):
            yield "decision_map", lambda: {"train_x": train.x, "train_y": train.y} | plane_outputs(parts, train)
        yield "region_map", lambda: plane_regions(parts, train)
    elif len(parts.spec.input_shape) == 3 and kind is TargetKind.CLASS:
        yield "hardest_digits", lambda: _hardest(test, outputs)
        yield "first_layer", lambda: _filters(parts)


def function_of(parts: Parts, examples: Examples) -> Arrays:
    """What the model predicts over the range of `examples`.

    Exact, at its joints, if it is piecewise linear and predicts the mean; else on a grid: a probability for binary
    targets, otherwise the mean and a band around it.
    """
    low, high = _range_of(examples.x)
    exact = piecewise_linear(parts.model, low, high)
    joints = {} if exact is None else {"joints": exact.joints}
    if exact is not None and isinstance(parts.loss, SquaredError):
        return {"function_x": exact.knots, "function_y": exact.values} | joints
    grid = torch.linspace(low, high, NUM_POINTS, dtype=_dtype(parts.model))
    # Quantiles are not defined in half precision.
    grid, outputs = _as_stored(grid), _as_stored(parts.model(grid[:, None]))
    if parts.loss.kind is TargetKind.BINARY:  # shown as a probability, not as a logit
        return {"function_x": grid, "probability_y": outputs.sigmoid()} | joints
    mean = parts.loss.mean(outputs)
    assert mean is not None  # as for all kinds but WITHOUT_Y_AXIS
    return {"function_x": grid, "function_y": mean} | joints | _band(parts, outputs)


def _band(parts: Parts, outputs: Tensor) -> Arrays:
    """The central 95 % interval of the predicted distribution."""
    low, high = (parts.loss.quantile(outputs, share) for share in BAND_QUANTILES)
    return {} if low is None or high is None else {"band_low": low, "band_high": high}


def _range_of(x: Tensor) -> tuple[float, float]:
    return span(float(x.min()), float(x.max()))


def _truth(parts: Parts, examples: Examples) -> Arrays:
    """E[y | x] and the standard deviation of the noise, for data that is generated from them."""
    if not isinstance(parts.source, Synthetic):
        return {}
    x = torch.linspace(*_range_of(examples.x), NUM_POINTS, dtype=torch.float64)
    noise = torch.tensor(float(parts.source.parameters.get("noise", 0.0)))
    return {"truth_x": x, "truth_y": parts.source.mean(x[:, None])[:, 0], "noise": noise}


def _units(model: nn.Module, examples: Examples) -> Arrays:
    """A shallow network's pre-activations and activations, (P, D), and its output weights."""
    if not isinstance(model, Shallow) or model.output.in_features > MAX_UNITS or model.output.out_features > 1:
        return {}
    x = torch.linspace(*_range_of(examples.x), NUM_POINTS, dtype=_dtype(model))
    trace = model.trace(x[:, None])
    return {
        "units_x": x,
        "units_pre": trace.pre_activations[0],
        "units_act": trace.activations[0],
        "units_weight": model.output.weight[0].clone(),
        "units_bias": model.output.bias.clone(),
    }


def _surface(parts: Parts, train: Examples, folder: RunFolder) -> Arrays:
    """The training loss of a two-parameter model on a grid around the path of its parameters."""
    if not folder.parameter_path.is_file() or sum(parameter.numel() for parameter in parts.model.parameters()) != 2:
        return {}
    # UDL calls a line's intercept its first parameter; the model stores it last.
    order = (1, 0) if isinstance(parts.model, Linear) else (0, 1)
    path = load_file(folder.parameter_path)["parameters"][:, order]
    ranges = [_range_of(values) for values in path.T]
    if isinstance(parts.model, Gabor):  # show all minima, not only those near the path
        both = zip(ranges, (gabor.PHI0, gabor.PHI1), strict=True)
        ranges = [(min(low, start), max(high, end)) for (low, high), (start, end) in both]
    else:
        ranges = [(low - MARGIN * (high - low), high + MARGIN * (high - low)) for low, high in ranges]
    x, y = (torch.linspace(low, high, SURFACE_SIDE, dtype=torch.float64) for low, high in ranges)
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 2)
    losses = _losses(parts, train, torch.cat([grid, path[[0, -1]].double()])[:, order])
    found = {"surface": losses[:-2].reshape(SURFACE_SIDE, SURFACE_SIDE), "surface_ends": losses[-2:]}
    if isinstance(parts.model, Linear):
        found["surface_of_line"] = torch.tensor(True)
    return found | {"surface_x": x, "surface_y": y, "surface_path": path.contiguous()}


def _losses(parts: Parts, train: Examples, parameters: Tensor) -> Tensor:
    """The mean negative log-likelihood of the training examples at each row of parameters, (M, P) → (M,)."""
    trained = parameters_to_vector(parts.model.parameters()).clone()
    losses = []
    try:
        for row in parameters.to(trained.dtype):
            vector_to_parameters(row, parts.model.parameters())
            outputs = parts.model(train.x.to(trained.dtype))
            losses.append(parts.loss.nll(outputs.double(), train.y.double()).mean())
    finally:  # what is computed after an error here must see the trained model
        vector_to_parameters(trained, parts.model.parameters())
    return torch.stack(losses)


def _hardest(test: Examples, outputs: Tensor) -> Arrays:
    hardest = most_confidently_wrong(outputs, test.y)
    return {"hardest": hardest, "hardest_x": test.x[hardest]}


def _filters(parts: Parts) -> Arrays:
    """The weights of the first layer as images, (M, H, W); of several input channels, those of the first."""
    layer = next((m for m in parts.model.modules() if isinstance(m, (nn.Linear, nn.Conv2d))), None)
    if isinstance(layer, nn.Conv2d):
        return {"filters": layer.weight[:MAX_FILTERS, 0].float().clone()}
    if layer is None or parts.spec.input_shape[0] != 1:
        return {}
    return {"filters": layer.weight[:MAX_FILTERS].float().reshape(-1, *parts.spec.input_shape[1:]).clone()}


def _dtype(model: nn.Module) -> torch.dtype:
    return next(model.parameters()).dtype


def most_confidently_wrong(logits: Tensor, targets: Tensor, count: int = NUM_HARDEST) -> Tensor:
    """The indices of the wrong predictions with the highest probability, at most `count`, worst first.

    logits: (N, C), targets: (N,) → (≤ count,) int64.
    """
    confidence, predicted = logits.double().softmax(dim=1).max(dim=1)
    wrong = torch.nonzero(predicted != targets).flatten()
    return wrong[confidence[wrong].sort(descending=True, stable=True).indices[:count]]
