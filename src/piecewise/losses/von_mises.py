"""Regression of angles, where 0 and 2π are the same (UDL figure 5.11)."""

import math

import torch
from torch import Tensor, distributions
from torch.nn import functional

from piecewise.data.spec import TargetKind
from piecewise.losses.independent import Independent, from_scipy
from piecewise.losses.links import FLOOR, positive
from piecewise.shapes import check_outputs_per_target

SHORT = 1e-2


class VonMises(Independent):
    """Pr(y | μ, κ) = exp(κ cos[y − μ]) / 2πI₀[κ], y in radians; the network predicts the direction of μ as an arrow in
    the plane, and κ.

    −log Pr = κ(1 − cos[y − μ]) + log 2π + log(e^−κ I₀[κ]). For arrows shorter than SHORT, κ is proportional to
    the length: length 0 gives the uniform distribution, and gradients stay below κ / SHORT.
    """

    kind = TargetKind.ANGLE
    truths = (distributions.VonMises,)
    score = "angular_error"
    outputs_per_target = 3

    def link(self, outputs: Tensor) -> dict[str, Tensor]:
        """μ in (−π, π], and κ of at least FLOOR, because PyTorch's distribution needs a positive one."""
        cosine, sine, z = self.split(outputs)
        kappa = (positive(z) * _length(cosine, sine)).clamp_min(FLOOR)
        return {"mu": torch.atan2(sine, cosine), "kappa": kappa}

    def nll_of_each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        cosine, sine, z = self.split(outputs)
        arrow = functional.normalize(torch.stack([cosine, sine]), dim=0, eps=SHORT)
        length, most = _length(cosine, sine), positive(z)
        # κ(1 − cos[y − μ]) for κ = most · length, from ‖(cos y, sin y) − arrow‖²: no difference of large numbers.
        chord = (torch.stack([targets.cos(), targets.sin()]) - arrow).square().sum(dim=0)
        cost = 0.5 * most * (chord - (1 - length).square())
        nll: Tensor = cost + math.log(2 * math.pi) + torch.special.i0e(most * length).log()
        return nll

    def mode(self, outputs: Tensor) -> Tensor:
        return self.link(outputs)["mu"]

    def mean(self, outputs: Tensor) -> Tensor:
        """The mean direction, in radians."""
        return self.link(outputs)["mu"]

    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The angle between y and μ, at most π, averaged over the targets of an example."""
        check_outputs_per_target(outputs, targets, self.outputs_per_target)
        difference = targets - self.mode(outputs)
        return torch.atan2(difference.sin(), difference.cos()).abs().mean(dim=1)

    def distribution(self, outputs: Tensor) -> distributions.VonMises:
        mu, kappa = self.link(outputs).values()
        return distributions.VonMises(mu, kappa)

    def quantile(self, outputs: Tensor, share: float) -> Tensor:
        """The quantile in (μ − π, μ + π), counted from the angle opposite μ, so that the median is μ."""
        mu, kappa = self.link(outputs).values()
        return mu + from_scipy("vonmises", share, kappa)


def _length(cosine: Tensor, sine: Tensor) -> Tensor:
    """The arrow's length in units of SHORT, at most 1."""
    length: Tensor = torch.linalg.vector_norm(torch.stack([cosine, sine]), dim=0)
    return (length / SHORT).clamp_max(1)
