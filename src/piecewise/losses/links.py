"""Links: functions from a network's outputs, any real numbers, to parameters of a distribution."""

import torch
from torch import Tensor
from torch.nn import functional

FLOOR = 1e-6  # with a smaller scale, one example would outweigh all others, and the scale could underflow
CEILING = 20.0  # e^20 = 4.9e8; from there on a rate grows linearly and cannot overflow


def positive(z: Tensor) -> Tensor:
    """log(1 + eᶻ) + FLOOR: for scales, shapes and concentrations. Any real number → at least FLOOR."""
    return functional.softplus(z) + FLOOR


def rate(z: Tensor) -> tuple[Tensor, Tensor]:
    """λ = eᶻ up to z = CEILING and its tangent beyond, and log λ, which stays exact where λ underflows."""
    exponent, excess = z.clamp_max(CEILING), (z - CEILING).clamp_min(0)
    tiny = torch.finfo(z.dtype).tiny
    return exponent.exp().clamp_min(tiny) * (1 + excess), exponent + excess.log1p()
