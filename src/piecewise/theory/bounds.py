"""How many linear regions a ReLU network can have, and how many parameters it takes.

Sizes are whole numbers of at least 1, or BadInput is raised.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import comb, prod

from piecewise.errors import BadInput
from piecewise.models.sizes import check_size


def zaslavsky(num_units: int, num_inputs: int) -> int:
    """Σ_{j ≤ D_i} C(D, j): regions into which D hyperplanes in general position cut D_i dimensions (Zaslavsky, 1975;
    UDL, notes on chapter 3). D and D_i may be 0."""
    check_size("num_units", num_units, least=0)
    check_size("num_inputs", num_inputs, least=0)
    return sum(comb(num_units, j) for j in range(num_inputs + 1))


def max_regions(num_inputs: int, widths: Sequence[int]) -> int:
    """The upper bound Π_k Σ_{j ≤ d_k} C(D_k, j) with d_k = min(D_i, D_1, …, D_{k−1}) (Montúfar, 2017).

    For one input it is Π_k (D_k + 1), the (D + 1)^K of UDL 4.4, which folding networks reach.
    """
    _check_sizes(num_inputs=num_inputs, width=widths)
    dimensions = [min([num_inputs, *widths[:k]]) for k in range(len(widths))]
    return prod(zaslavsky(width, dimension) for width, dimension in zip(widths, dimensions, strict=True))


def regions_within_reach(num_inputs: int, width: int, depth: int) -> int:
    """(⌊D / D_i⌋ + 1)^{D_i (K − 1)} Σ_{j ≤ D_i} C(D, j): some network of K layers of D ≥ D_i units has as many
    (Montúfar, Pascanu, Cho and Bengio, 2014; UDL, notes on chapter 4)."""
    _check_sizes(num_inputs=num_inputs, width=[width], depth=depth)
    if width < num_inputs:
        raise BadInput(f"width={width} must be at least num_inputs={num_inputs}")
    folded: int = (width // num_inputs + 1) ** (num_inputs * (depth - 1))
    return folded * zaslavsky(width, num_inputs)


def num_parameters(num_inputs: int, num_outputs: int, widths: Sequence[int]) -> int:
    """Weights and biases of an MLP; 3D + 1 + (K − 1) D (D + 1) for K layers of D units between one input and output."""
    _check_sizes(num_inputs=num_inputs, num_outputs=num_outputs, width=widths)
    sizes = [num_inputs, *widths, num_outputs]
    return sum((before + 1) * after for before, after in pairwise(sizes))


@dataclass(frozen=True)
class Budget:
    """The largest `width` at a depth whose number of parameters, `reached`, is at most `requested`."""

    width: int
    requested: int
    reached: int


def parameters_for_budget(budget: int, depth: int, num_inputs: int = 1, num_outputs: int = 1) -> Budget:
    """The widest MLP of `depth` equal hidden layers with at most `budget` parameters.

    Raises BadInput if one unit in each layer already has more.
    """
    _check_sizes(budget=budget, depth=depth, num_inputs=num_inputs, num_outputs=num_outputs)
    least = num_parameters(num_inputs, num_outputs, [1] * depth)
    if budget < least:
        raise BadInput(f"budget={budget} is too small: {depth} layers of one unit have {least} parameters")
    low, high = 1, budget + 1  # every unit has a parameter
    while high - low > 1:
        middle = (low + high) // 2
        fits = num_parameters(num_inputs, num_outputs, [middle] * depth) <= budget
        low, high = (middle, high) if fits else (low, middle)
    return Budget(low, budget, num_parameters(num_inputs, num_outputs, [low] * depth))


def _check_sizes(**sizes: int | Sequence[int]) -> None:
    for name, given in sizes.items():
        for size in given if isinstance(given, Sequence) else [given]:
            check_size(name, size)
