"""The arrays that a run's figures are drawn from, computed from its model, data and parameter path."""

import contextlib

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from piecewise.data.spec import Examples, TargetKind
from piecewise.data.synthetic import Synthetic
from piecewise.jobs.build import Parts
from piecewise.journal.run_folder import RunFolder
from piecewise.losses.squared_error import SquaredError
from piecewise.models import gabor
from piecewise.models.gabor import Gabor
from piecewise.models.linear import Linear
from piecewise.models.shallow import Shallow
from piecewise.theory.joints import piecewise_linear
from piecewise.theory.polygons import TooManyRegions, region_map

Arrays = dict[str, Tensor]

NUM_HARDEST = 12
BAND_QUANTILES = 0.025, 0.975  # of the predicted distribution
WITHOUT_Y_AXIS = (TargetKind.CLASS, TargetKind.RANKING)  # targets that a y axis cannot show
NUM_POINTS = 1001  # of a curve on a grid
MAP_SIDE = 241  # points along each side of a decision map
MAX_REGIONS = 20_000  # of the plane; finding them takes a few seconds
SURFACE_SIDE = 61  # points along each side of a loss surface
MAX_UNITS = 8  # a shallow network with more is not drawn unit by unit
MAX_FILTERS = 32  # the first ones are drawn


@torch.no_grad()
def arrays_of(parts: Parts, test: Examples, outputs: Tensor, folder: RunFolder) -> Arrays:
    """Every array that some figure of this model on this data needs. `outputs` are the model's for `test`."""
    parts.model.eval()
    arrays: Arrays = {"outputs": outputs, "targets": test.y}
    num_inputs, is_class = parts.spec.num_inputs, parts.loss.kind is TargetKind.CLASS
    if num_inputs == 1 and parts.loss.kind not in WITHOUT_Y_AXIS:
        train = parts.source.train(parts.loss.kind)
        arrays |= {"train_x": train.x.flatten(), "train_y": train.y}
        arrays |= function_of(parts, test) | _truth(parts, test) | _units(parts.model, test)
        arrays |= _surface(parts, train, folder)
    elif num_inputs == 2:
        train = parts.source.train(parts.loss.kind)
        arrays |= {"train_x": train.x, "train_y": train.y} | _plane(parts, train)
    elif len(parts.spec.input_shape) == 3 and is_class:
        hardest = most_confidently_wrong(outputs, test.y)
        arrays |= {"hardest": hardest, "hardest_x": test.x[hardest]} | _filters(parts)
    return arrays


def function_of(parts: Parts, examples: Examples) -> Arrays:
    """What the model predicts over the range of `examples`.

    Exact, at its joints, if it is piecewise linear and predicts the mean; else on a grid: a probability for binary
    targets, otherwise the mean and a band around it.
    """
    low, high = float(examples.x.min()), float(examples.x.max())
    exact = piecewise_linear(parts.model, low, high)
    joints = {} if exact is None else {"joints": exact.joints}
    if exact is not None and isinstance(parts.loss, SquaredError):
        return {"function_x": exact.knots, "function_y": exact.values} | joints
    grid = torch.linspace(low, high, NUM_POINTS, dtype=_dtype(parts.model))
    outputs = parts.model(grid[:, None])
    if parts.loss.kind is TargetKind.BINARY:  # shown as a probability, not as a logit
        return {"function_x": grid, "probability_y": outputs.sigmoid()} | joints
    mean = parts.loss.mean(outputs)
    assert mean is not None  # as for all kinds but WITHOUT_Y_AXIS
    return {"function_x": grid, "function_y": mean} | joints | _band(parts, outputs)


def _band(parts: Parts, outputs: Tensor) -> Arrays:
    """The central 95 % interval of the predicted distribution."""
    low, high = (parts.loss.quantile(outputs, share) for share in BAND_QUANTILES)
    return {} if low is None or high is None else {"band_low": low, "band_high": high}


def _truth(parts: Parts, test: Examples) -> Arrays:
    """E[y | x] and the standard deviation of the noise, for data that is generated from them."""
    if not isinstance(parts.source, Synthetic):
        return {}
    x = torch.linspace(float(test.x.min()), float(test.x.max()), NUM_POINTS, dtype=torch.float64)
    noise = torch.tensor(float(parts.source.parameters.get("noise", 0.0)))
    return {"truth_x": x, "truth_y": parts.source.mean(x[:, None])[:, 0], "noise": noise}


def _units(model: nn.Module, test: Examples) -> Arrays:
    """A shallow network's pre-activations and activations, (P, D), and its output weights."""
    if not isinstance(model, Shallow) or model.output.in_features > MAX_UNITS or model.output.out_features > 1:
        return {}
    x = torch.linspace(float(test.x.min()), float(test.x.max()), NUM_POINTS, dtype=_dtype(model))
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
    low, high = path.amin(dim=0), path.amax(dim=0)
    if isinstance(parts.model, Gabor):  # show all minima, not only those near the path
        start, end = torch.tensor([gabor.PHI0, gabor.PHI1]).T
        low, high = torch.minimum(low, start), torch.maximum(high, end)
    else:
        margin = 0.35 * (high - low).clamp_min(1e-3)
        low, high = low - margin, high + margin
    x, y = (torch.linspace(float(low[i]), float(high[i]), SURFACE_SIDE).double() for i in (0, 1))
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
    for row in parameters.to(trained.dtype):
        vector_to_parameters(row, parts.model.parameters())
        outputs = parts.model(train.x.to(trained.dtype))
        losses.append(parts.loss.nll(outputs.double(), train.y.double()).mean())
    vector_to_parameters(trained, parts.model.parameters())
    return torch.stack(losses)


def _plane(parts: Parts, train: Examples) -> Arrays:
    """Outputs over the range of two inputs, and the corners of the linear regions there."""
    x = train.x.flatten(1)
    low, high = x.amin(dim=0), x.amax(dim=0)
    sides = [torch.linspace(float(low[i]), float(high[i]), MAP_SIDE, dtype=_dtype(parts.model)) for i in (0, 1)]
    grid = torch.stack(torch.meshgrid(*sides, indexing="xy"), dim=-1).reshape(-1, *parts.spec.input_shape)
    found = {
        "plane_outputs": parts.model(grid).reshape(MAP_SIDE, MAP_SIDE, -1),
        "plane_extent": torch.stack([low, high], 1),
    }
    with contextlib.suppress(TooManyRegions):
        exact = region_map(parts.model, (float(low[0]), float(high[0]), float(low[1]), float(high[1])), MAX_REGIONS)
        if exact is not None:
            polygons = [torch.from_numpy(region.vertices) for region in exact.regions]
            found["plane_corners"] = torch.cat(polygons)
            found["plane_num_corners"] = torch.tensor([len(polygon) for polygon in polygons])
    return found


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
