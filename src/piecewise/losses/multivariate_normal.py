"""Regression of several targets with correlated errors (UDL figure 5.11)."""

import math

import torch
from torch import Tensor, distributions

from piecewise.data.spec import DataSpec, TargetKind
from piecewise.losses.likelihood import NegativeLogLikelihood
from piecewise.losses.links import positive
from piecewise.losses.normal_floor import normal_floor
from piecewise.shapes import check_rank, check_shape


class MultivariateNormal(NegativeLogLikelihood):
    """Pr(y | μ, Σ) = Norm_y[μ, Σ] with Σ = LLᵀ; the network predicts μ and the lower triangle of L, row by row.

    −log Pr = ½‖L⁻¹(y − μ)‖² + Σ_i log L_ii + ½ C log 2π.  The diagonal of L is positive.

    With 1e-6 on the diagonal and 1e4 below it, L⁻¹(y − μ) is about 1e20. Its square overflows float32, so that such
    outputs have an infinite nll. In float64 it is finite.
    """

    kind = TargetKind.REAL
    score = "squared_error"

    def num_outputs(self, spec: DataSpec) -> int:
        return _num_outputs(spec.num_targets)

    def link(self, outputs: Tensor) -> dict[str, Tensor]:
        """μ: (N, C), L: (N, C, C). Raises ValueError for a number of outputs that fits no C."""
        check_rank("outputs", outputs, 2)
        # D_o = C + C(C + 1)/2, solved for C.
        count = (math.isqrt(9 + 8 * outputs.shape[1]) - 3) // 2
        check_shape("outputs", outputs, ("N", _num_outputs(count)))
        rows, columns = torch.tril_indices(count, count, device=outputs.device)
        z = outputs[:, count:]
        factor = outputs.new_zeros(len(outputs), count, count)
        factor[:, rows, columns] = torch.where(rows == columns, positive(z), z)
        return {"mu": outputs[:, :count], "cholesky": factor}

    def nll(self, outputs: Tensor, targets: Tensor) -> Tensor:
        self._check(outputs, targets)
        mu, factor = self.link(outputs).values()
        whitened = torch.linalg.solve_triangular(factor, (targets - mu).unsqueeze(-1), upper=False).squeeze(-1)
        log_determinant = factor.diagonal(dim1=1, dim2=2).log().sum(dim=1)
        constant = 0.5 * targets.shape[1] * math.log(2 * math.pi)
        nll: Tensor = 0.5 * whitened.square().sum(dim=1) + log_determinant + constant
        return nll

    def mode(self, outputs: Tensor) -> Tensor:
        return self.link(outputs)["mu"]

    def floor(self, truth: distributions.Distribution, entropy: Tensor) -> Tensor | None:
        """The entropy of a multivariate normal distribution; of one target, as of a normal distribution."""
        is_normal = isinstance(truth, distributions.MultivariateNormal)
        return entropy if is_normal else normal_floor(truth) if truth.mean.shape[1] == 1 else None

    def distribution(self, outputs: Tensor) -> distributions.MultivariateNormal:
        mu, factor = self.link(outputs).values()
        return distributions.MultivariateNormal(mu, scale_tril=factor)

    def quantile(self, outputs: Tensor, share: float) -> Tensor:
        """The marginal quantile of each target: μ_i + z Σ_ii^½."""
        mu, factor = self.link(outputs).values()
        deviation = factor.square().sum(dim=2).sqrt()
        found: Tensor = mu + deviation * torch.special.ndtri(outputs.new_tensor(share))
        return found

    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(y − μ)², averaged over the targets of an example."""
        self._check(outputs, targets)
        return (targets - self.mode(outputs)).square().mean(dim=1)

    def _check(self, outputs: Tensor, targets: Tensor) -> None:
        check_rank("targets", targets, 2)
        check_shape("outputs", outputs, (len(targets), _num_outputs(targets.shape[1])))


def _num_outputs(count: int) -> int:
    """Means and lower triangle for `count` targets."""
    return count + count * (count + 1) // 2
