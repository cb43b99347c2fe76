"""Properties of every loss."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from piecewise.losses.bernoulli import Bernoulli
from piecewise.losses.categorical import Categorical
from piecewise.losses.heteroscedastic import Heteroscedastic
from piecewise.losses.likelihood import NegativeLogLikelihood
from piecewise.losses.mixture import Mixture
from piecewise.losses.multivariate_normal import MultivariateNormal
from piecewise.losses.squared_error import SquaredError
from piecewise.losses.von_mises import VonMises

N = 3
COLUMN, ROW = torch.zeros(N, 1), torch.zeros(N)
CLASSES = torch.zeros(N, dtype=torch.int64)
BROADCASTING = [
    (SquaredError(), COLUMN, ROW, r"outputs has shape \(3, 1\) but targets has shape \(3,\)"),
    (SquaredError(), ROW, COLUMN, r"outputs has shape \(3,\) but targets has shape \(3, 1\)"),
    (SquaredError(), COLUMN, torch.zeros(N, 2), r"outputs has shape \(3, 1\) but targets has shape \(3, 2\)"),
    (SquaredError(), ROW, ROW, r"outputs has shape \(3,\) but targets has shape \(3,\), which must be \(N, C\)"),
    (Bernoulli(), ROW, ROW, r"outputs has shape \(3,\) but targets has shape \(3,\), which must be \(N, C\)"),
    (Bernoulli(), COLUMN, ROW, r"outputs has shape \(3, 1\) but targets has shape \(3,\)"),
    (Bernoulli(), ROW, COLUMN, r"outputs has shape \(3,\) but targets has shape \(3, 1\)"),
    (Categorical(), torch.zeros(N, 4), CLASSES[:, None], r"outputs .* \(3,\) but targets has shape \(3, 1\)"),
    (Categorical(0.1), torch.zeros(1, 4), CLASSES, r"outputs .* \(1,\) but targets has shape \(3,\)"),
]
FITTING = [
    (SquaredError(), torch.randn(N, 2), torch.randn(N, 2)),
    (Bernoulli(), torch.randn(N, 1), torch.ones(N, 1)),
    (Categorical(), torch.randn(N, 4), CLASSES),
]


@pytest.mark.parametrize("method", ["nll", "objective", "scores"])
@pytest.mark.parametrize(("loss", "outputs", "targets", "message"), BROADCASTING)
def test_shapes_that_would_broadcast_are_refused(
    loss: NegativeLogLikelihood, outputs: Tensor, targets: Tensor, message: str, method: str
) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(loss, method)(outputs, targets)


@pytest.mark.parametrize(("loss", "outputs", "targets"), FITTING)
def test_one_number_for_each_example(loss: NegativeLogLikelihood, outputs: Tensor, targets: Tensor) -> None:
    nll, scores = loss.nll(outputs, targets), loss.scores(outputs, targets)
    assert nll.shape == scores.shape == (N,)
    assert loss.mode(outputs).shape == targets.shape
    alone = torch.cat([loss.nll(outputs[n : n + 1], targets[n : n + 1]) for n in range(N)])
    torch.testing.assert_close(nll, alone)


@pytest.mark.parametrize(("loss", "outputs", "targets"), FITTING)
def test_training_minimises_the_nll_by_default(loss: NegativeLogLikelihood, outputs: Tensor, targets: Tensor) -> None:
    assert loss.trains_on_nll
    torch.testing.assert_close(loss.objective(outputs, targets), loss.nll(outputs, targets), rtol=0, atol=0)


@pytest.mark.parametrize(("loss", "outputs", "targets"), FITTING)
def test_the_mode_has_the_least_nll_of_all_targets(
    loss: NegativeLogLikelihood, outputs: Tensor, targets: Tensor
) -> None:
    best = loss.nll(outputs, loss.mode(outputs))
    assert (best <= loss.nll(outputs, targets)).all()


@pytest.mark.parametrize(
    ("loss", "shape", "message"),
    [
        (Heteroscedastic(), (5, 5), r"outputs must have shape \(N, 2·C\), got shape \(5, 5\)"),
        (Heteroscedastic(), (4,), r"outputs must have shape \(N, 2·C\), got shape \(4,\)"),
        (Mixture(2), (5, 9), r"outputs must have shape \(N, 6·C\), got shape \(5, 9\)"),
        (VonMises(), (5, 4), r"outputs must have shape \(N, 3·C\), got shape \(5, 4\)"),
        (MultivariateNormal(), (4, 6), r"outputs must have shape \(N, 5\), got shape \(4, 6\)"),
        (MultivariateNormal(), (5,), r"outputs must have 2 dimensions, got shape \(5,\)"),
    ],
)
def test_outputs_that_make_no_whole_number_of_parameters_are_refused(
    loss: NegativeLogLikelihood, shape: tuple[int, ...], message: str
) -> None:
    for method in (loss.link, loss.mode, loss.distribution):
        with pytest.raises(ValueError, match=message):
            method(torch.rand(shape))


def test_a_loss_without_its_methods_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        NegativeLogLikelihood()  # type: ignore[abstract]
