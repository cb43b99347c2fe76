"""Regression where one input has several likely answers: a mixture density network (UDL figure 5.11)."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, MixtureSameFamily, MultivariateNormal, Normal

from piecewise.data.spec import TargetKind
from piecewise.errors import BadInput
from piecewise.losses.independent import Independent
from piecewise.losses.links import positive
from piecewise.losses.normal_floor import normal_floor
from piecewise.losses.sums import log_sum_exp
from piecewise.shapes import check_columns

# Bisection steps to the last bit: from a quarter of a scale, and between components 1e4 apart with a width of 1e-6.
MODE_STEPS, QUANTILE_STEPS = 60, 100
NEAR = torch.arange(-4, 4.25, 0.25, dtype=torch.float64)  # where modes are searched, in scales from a mean


class Mixture(Independent):
    """Pr(y | w, μ, σ) = Σ_m w_m Norm_y[μ_m, σ_m²] with M `num_components`; the network predicts all of them.

    −log Pr = −log Σ_m exp(log w_m − (y − μ_m)²/2σ_m² − ½ log 2πσ_m²), computed as one log-sum-exp.
    """

    kind = TargetKind.REAL

    def __init__(self, num_components: int = 2) -> None:
        super().__init__()
        if num_components < 1:
            raise BadInput(f"loss.num_components={num_components} must be at least 1")
        self.num_components = num_components
        self.outputs_per_target = 3 * num_components

    def link(self, outputs: Tensor) -> dict[str, Tensor]:
        """Each (N, C, M)."""
        logits, mu, z = self._parts(outputs)
        return {"weight": logits.softmax(dim=-1), "mu": mu, "sigma": positive(z)}

    def _parts(self, outputs: Tensor) -> tuple[Tensor, ...]:
        """Logits of the weights, means, and unconstrained scales: (N, C, M) each."""
        check_columns("outputs", outputs, self.outputs_per_target)
        return outputs.reshape(len(outputs), 3, self.num_components, -1).transpose(2, 3).unbind(1)

    def nll_of_each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        logits, mu, z = self._parts(outputs)
        sigma, t = positive(z), targets.unsqueeze(-1)
        log_normal = -0.5 * ((t - mu) / sigma).square() - sigma.log() - 0.5 * math.log(2 * math.pi)
        return -log_sum_exp(logits.log_softmax(dim=-1) + log_normal)

    @torch.no_grad()
    def mode(self, outputs: Tensor) -> Tensor:
        """The highest maximum, by bisection between grid points where the slope changes from positive to negative.

        The grid covers NEAR around each mean; farther away the density is lower than at a mean.
        """
        components = [value.double().unsqueeze(2) for value in self.link(outputs).values()]  # (N, C, 1, M) each
        _, mu, sigma = components
        near = (mu + NEAR.to(mu.device).unsqueeze(1) * sigma).flatten(2).sort(dim=2).values  # (N, C, G)
        is_rising = _slope(near, *components) > 0
        is_top = is_rising[:, :, :-1] & ~is_rising[:, :, 1:]
        low, high = near[:, :, :-1][is_top], near[:, :, 1:][is_top]
        own = [part.expand(-1, -1, is_top.shape[2], -1)[is_top] for part in components]  # (T, M) each
        for _ in range(MODE_STEPS):
            middle = (low + high) / 2
            is_below = _slope(middle, *own) > 0
            low, high = torch.where(is_below, middle, low), torch.where(is_below, high, middle)
        height = near.new_full(is_top.shape, -torch.inf).masked_scatter(is_top, _log_joint(high, *own).logsumexp(-1))
        highest = height.argmax(dim=2, keepdim=True)
        found = near.new_zeros(is_top.shape).masked_scatter(is_top, high).gather(2, highest)
        return found.squeeze(2).to(outputs.dtype)

    def floor(self, truth: Distribution, entropy: Tensor) -> Tensor | None:
        """The entropy of a mixture of as many normal distributions, and what one normal distribution reaches if the
        targets or the components are normal. Unknown else: on counts, narrow components have any density."""
        if self.num_components == 1 or isinstance(truth, (Normal, MultivariateNormal)):
            return normal_floor(truth)
        if not isinstance(truth, MixtureSameFamily) or not isinstance(truth.component_distribution, Normal):
            return None
        is_enough = truth.mixture_distribution.param_shape[-1] <= self.num_components
        return entropy if is_enough else None

    def distribution(self, outputs: Tensor) -> MixtureSameFamily:
        weight, mu, sigma = self.link(outputs).values()
        return MixtureSameFamily(Categorical(probs=weight), Normal(mu, sigma))

    def quantile(self, outputs: Tensor, share: float) -> Tensor:
        """By bisection between the least and the largest quantile of the components."""
        mixture: Any = self.distribution(outputs.detach().double())
        of_each = mixture.component_distribution.icdf(torch.tensor(share, dtype=torch.float64, device=outputs.device))
        low, high = of_each.amin(dim=-1), of_each.amax(dim=-1)
        for _ in range(QUANTILE_STEPS):
            middle = (low + high) / 2
            is_below = mixture.cdf(middle) < share
            low, high = torch.where(is_below, middle, low), torch.where(is_below, high, middle)
        found: Tensor = high.to(outputs.dtype)
        return found


def _log_joint(y: Tensor, weight: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    """log Pr(y, m) up to a constant.  y: (…), w, μ and σ: (…, M) → (…, M)."""
    return (weight / sigma).log() - 0.5 * ((y.unsqueeze(-1) - mu) / sigma).square()


def _slope(y: Tensor, weight: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    """∂ Pr(y) / ∂y = Σ_m Pr(y, m) (μ_m − y) / σ_m², up to a positive factor.  (…)."""
    log_joint = _log_joint(y, weight, mu, sigma)
    share = (log_joint - log_joint.amax(dim=-1, keepdim=True)).exp()
    return (share * (mu - y.unsqueeze(-1)) / sigma.square()).sum(dim=-1)
