"""Regression where one input has several likely answers: a mixture density network (UDL figure 5.11)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, Normal

from piecewise.data.spec import TargetKind
from piecewise.errors import BadInput
from piecewise.losses.independent import Independent
from piecewise.losses.links import positive

STEPS = 200  # of the search for the mode, and of the bisection for a quantile: far past the last bit


class Mixture(Independent):
    """Pr(y | w, μ, σ) = Σ_m w_m Norm_y[μ_m, σ_m²] with M `num_components`; the network predicts all of them.

    −log Pr = −log Σ_m exp(log w_m − (y − μ_m)²/2σ_m² − ½ log 2πσ_m²), the sum never leaving the logarithm.
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
        """Logits of the weights, means, and what the scales are made of: (N, C, M) each."""
        return outputs.reshape(len(outputs), 3, self.num_components, -1).transpose(2, 3).unbind(1)

    def nll_of_each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        logits, mu, z = self._parts(outputs)
        sigma, t = positive(z), targets.unsqueeze(-1)
        log_normal = -0.5 * ((t - mu) / sigma).square() - sigma.log() - 0.5 * math.log(2 * math.pi)
        return -(logits.log_softmax(dim=-1) + log_normal).logsumexp(dim=-1)

    def mode(self, outputs: Tensor) -> Tensor:
        """The highest of the maxima that the fixed point y = Σ r_m μ_m / Σ r_m, r_m = Pr(m | y) / σ_m², climbs to
        from each component's mean."""
        weight, mu, sigma = (value.detach().double().unsqueeze(2) for value in self.link(outputs).values())
        y = mu.transpose(2, 3)  # (N, C, starts, 1)
        for _ in range(STEPS):
            log_r = (weight / sigma).log() - 0.5 * ((y - mu) / sigma).square()
            r = log_r.softmax(dim=-1) / sigma.square()
            y = (r * mu).sum(dim=-1, keepdim=True) / r.sum(dim=-1, keepdim=True)
        height = ((weight / sigma).log() - 0.5 * ((y - mu) / sigma).square()).logsumexp(dim=-1)
        highest = height.argmax(dim=-1, keepdim=True)
        return y.squeeze(-1).gather(2, highest).squeeze(-1).to(outputs.dtype)

    def distribution(self, outputs: Tensor) -> MixtureSameFamily:
        weight, mu, sigma = self.link(outputs).values()
        return MixtureSameFamily(Categorical(probs=weight), Normal(mu, sigma))

    def quantile(self, outputs: Tensor, share: float) -> Tensor:
        """By bisection between the least and the largest quantile of the components."""
        mixture: Any = self.distribution(outputs.detach().double())
        of_each = mixture.component_distribution.icdf(torch.tensor(share, dtype=torch.float64, device=outputs.device))
        low, high = of_each.amin(dim=-1), of_each.amax(dim=-1)
        for _ in range(STEPS):
            middle = (low + high) / 2
            is_below = mixture.cdf(middle) < share
            low, high = torch.where(is_below, middle, low), torch.where(is_below, high, middle)
        found: Tensor = high.to(outputs.dtype)
        return found
