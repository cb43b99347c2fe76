"""The least negative log-likelihood of a normal distribution, whatever distribution the targets have."""

import math

from torch import Tensor
from torch.distributions import Distribution, VonMises

from piecewise.losses.links import FLOOR


def normal_floor(truth: Distribution, sigma: Tensor | None = None) -> Tensor | None:
    """Var[y]/2σ² + ½ log 2πσ², summed over the targets, (N,): the mean of −log Norm_y[μ, σ²] with μ = E[y].

    Without `sigma` it is the best one, σ² = Var[y], but at least FLOOR as in the links. None for angles, whose variance
    in PyTorch is that on the circle.
    """
    if isinstance(truth, VonMises):
        return None
    variance = truth.variance
    sigma = variance.sqrt().clamp_min(FLOOR) if sigma is None else sigma
    return (0.5 * variance / sigma.square() + sigma.log() + 0.5 * math.log(2 * math.pi)).sum(dim=1)
