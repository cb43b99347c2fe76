"""Regression of proportions: targets between 0 and 1 (UDL figure 5.11)."""

import torch
from torch import Tensor, distributions

from piecewise.data.spec import TargetKind
from piecewise.losses.independent import Independent, from_scipy
from piecewise.losses.links import positive


class Beta(Independent):
    """Pr(y | a, b) = Γ[a + b] / Γ[a]Γ[b] · yᵃ⁻¹ (1 − y)ᵇ⁻¹, 0 < y < 1; the network predicts a and b.

    −log Pr = log Γ[a] + log Γ[b] − log Γ[a + b] − (a − 1) log y − (b − 1) log[1 − y].
    """

    kind = TargetKind.PROPORTION
    truths = (distributions.Beta,)
    outputs_per_target = 2

    def link(self, outputs: Tensor) -> dict[str, Tensor]:
        z_a, z_b = self.split(outputs)
        return {"a": positive(z_a), "b": positive(z_b)}

    def nll_of_each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        a, b = self.link(outputs).values()
        normaliser = a.lgamma() + b.lgamma() - (a + b).lgamma()
        return normaliser - (a - 1) * targets.log() - (b - 1) * (-targets).log1p()

    def mode(self, outputs: Tensor) -> Tensor:
        """(a − 1) / (a + b − 2) if both exceed 1; else the end (0 or 1) at which the density is highest."""
        a, b = self.link(outputs).values()
        inner = (a - 1) / (a + b - 2)
        return torch.where((a > 1) & (b > 1), inner, (a > b).to(a.dtype))

    def distribution(self, outputs: Tensor) -> distributions.Beta:
        a, b = self.link(outputs).values()
        return distributions.Beta(a, b)

    def quantile(self, outputs: Tensor, share: float) -> Tensor:
        a, b = self.link(outputs).values()
        return from_scipy("beta", share, a, b)
