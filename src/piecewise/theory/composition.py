"""Composing networks: the output of one is the input of the next (UDL 4.1, 4.2)."""

from itertools import pairwise

import torch
from torch import nn

from piecewise.models.mlp import Mlp
from piecewise.models.shallow import Shallow
from piecewise.theory.networks import Affine, relu_program

Network = Shallow | Mlp


def compose(first: Network, second: Network) -> nn.Sequential:
    """x → second[first[x]]. Raises ValueError if the first has not as many outputs as the second has inputs."""
    outputs, inputs = first.output.out_features, _hidden(second)[0].in_features
    if outputs != inputs:
        raise ValueError(f"the first network has {outputs} outputs but the second has {inputs} inputs")
    return nn.Sequential(first, second)


@torch.no_grad()
def merge(first: Network, second: Network) -> Mlp:
    """One deep ReLU network that is second[first[x]]: with ψ_d0 = θ′_d0 + θ′_d φ₀ and ψ_dj = θ′_d φ_j between them
    (UDL eq. 4.4 to 4.6). In float64. Raises ValueError if they do not fit or are not plain ReLU networks.
    """
    compose(first, second)
    steps = [relu_program(first), relu_program(second)]
    plain = [[step for step in program or [] if isinstance(step, Affine)] for program in steps]
    if any(len(maps) != len(_hidden(model)) + 1 for maps, model in zip(plain, (first, second), strict=True)):
        raise ValueError("only ReLU networks without norm can be merged")
    if any(isinstance(model, Mlp) and model.residual for model in (first, second)):
        raise ValueError("only networks without residual connections can be merged")
    *before, out = plain[0]
    enter, *after = plain[1]
    psi = Affine(enter.weight @ out.weight, enter.bias + enter.weight @ out.bias)
    maps = [*before, psi, *after]
    widths = [len(layer.bias) for layer in maps]
    merged = Mlp(maps[0].weight.shape[1], widths[-1], width=widths[:-1]).double()
    for layer, values in zip([*merged.hidden, merged.output], maps, strict=True):
        assert isinstance(layer, nn.Linear)
        layer.weight.copy_(values.weight)
        layer.bias.copy_(values.bias)
    return merged


def _hidden(model: Network) -> list[nn.Linear]:
    layers = [model.hidden] if isinstance(model, Shallow) else list(model.hidden)
    return [layer for layer in layers if isinstance(layer, nn.Linear)]


@torch.no_grad()
def zigzag(num_folds: int) -> Shallow:
    """The map of [0, 1] onto itself that rises and falls `num_folds` times, each over its whole range (UDL 4.1).

    Composing with it repeats the function that follows, so regions multiply. In float64, with one unit per fold.
    """
    if num_folds < 1:
        raise ValueError(f"num_folds={num_folds} must be at least 1")
    model = Shallow(1, 1, width=num_folds).double()
    slopes = [num_folds * (-1) ** fold for fold in range(num_folds)]
    bends = [slopes[0], *(after - before for before, after in pairwise(slopes))]
    model.hidden.weight.fill_(1.0)
    model.hidden.bias.copy_(-torch.arange(num_folds, dtype=torch.float64) / num_folds)
    model.output.weight.copy_(torch.tensor([bends], dtype=torch.float64))
    model.output.bias.zero_()
    return model
