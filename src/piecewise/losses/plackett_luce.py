"""Ranking: the order in which a judge puts items (UDL figure 5.11)."""

import torch
from torch import Tensor
from torch.distributions import Distribution, Gumbel

from piecewise.data.spec import DataSpec, TargetKind
from piecewise.losses.likelihood import NegativeLogLikelihood
from piecewise.losses.sums import log_sum_exp
from piecewise.shapes import check_rank, check_same_shape


class PlackettLuce(NegativeLogLikelihood):
    """Pr(y | s) = Π_k exp(s_{y_k}) / Σ_{j ≥ k} exp(s_{y_j}): the best item is drawn by the softmax of the scores s,
    then the best of those left, …. The network predicts s; a target lists the items (N, C) int64, best first,
    each once, which is not checked at every step.

    −log Pr = Σ_k log Σ_{j ≥ k} exp(s_{y_j} − s_{y_k}).  With two items it is Bernoulli on the difference of scores.
    """

    kind = TargetKind.RANKING
    truths = (Gumbel,)
    score = "pair_accuracy"

    def num_outputs(self, spec: DataSpec) -> int:
        return spec.num_targets

    def link(self, outputs: Tensor) -> dict[str, Tensor]:
        """The probability that each item comes first."""
        return {"probability_first": outputs.softmax(dim=1)}

    def nll(self, outputs: Tensor, targets: Tensor) -> Tensor:
        self._check(outputs, targets)
        scores = outputs.gather(1, targets)
        # s_{y_j} − s_{y_k} at [n, k, j]: differences of large scores are exact, their sums are not.
        behind = scores.unsqueeze(1) - scores.unsqueeze(2)
        is_gone = torch.ones_like(behind[0], dtype=torch.bool).tril(-1)
        return log_sum_exp(behind.masked_fill(is_gone, -torch.inf)).sum(dim=1)

    def mode(self, outputs: Tensor) -> Tensor:
        return outputs.argsort(dim=1, descending=True, stable=True)

    def mean(self, outputs: Tensor) -> None:
        return None

    def sample(self, outputs: Tensor, seed: int) -> Tensor:
        """Order the scores plus Gumbel noise, which samples Plackett and Luce's distribution exactly."""
        return self.mode(super().sample(outputs, seed))

    def distribution(self, outputs: Tensor) -> Distribution:
        """The distribution of the noisy scores, whose order is the ranking."""
        return Gumbel(outputs, torch.ones_like(outputs))

    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The share of pairs of items that the scores order correctly."""
        self._check(outputs, targets)
        ranked = outputs.gather(1, targets)
        above, below = torch.triu_indices(ranked.shape[1], ranked.shape[1], offset=1, device=ranked.device)
        return (ranked[:, above] > ranked[:, below]).to(outputs.dtype).mean(dim=1)

    def _check(self, outputs: Tensor, targets: Tensor) -> None:
        check_rank("outputs", outputs, 2)
        check_same_shape("outputs", outputs, "targets", targets)
