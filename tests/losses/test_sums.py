from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import logsumexp, softmax

from piecewise.losses.mixture import Mixture
from piecewise.losses.plackett_luce import PlackettLuce
from piecewise.losses.sums import log_sum_exp


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("offset", [0.0, 1e4, -1e7, 1e9])
def test_value_and_gradient_are_scipys_however_large_the_numbers_are(offset: float, dtype: torch.dtype) -> None:
    z = torch.tensor([[0.0, 0.0, 0.0], [64.0, 0.0, 64.0], [-torch.inf, 64.0, 0.0]], dtype=dtype) + offset
    z.requires_grad_()
    found = log_sum_exp(z)
    found.sum().backward()
    wanted = z.detach().double().numpy()
    np.testing.assert_allclose(found.detach(), logsumexp(wanted, axis=1), rtol=1e-6)
    np.testing.assert_allclose(z.grad, softmax(wanted, axis=1), rtol=1e-5)  # type: ignore[arg-type]


def test_equal_components_share_the_gradient_of_a_distant_target() -> None:
    """Three components, 51 from y and of scale 4.6e-5: each gradient is a third of 51 / σ², to float32 precision."""
    outputs = torch.tensor([[0.0, 0.0, 0.0, -50.0, -50.0, -50.0, -10.0, -10.0, -10.0]], requires_grad=True)
    Mixture(3).nll(outputs, torch.ones(1, 1)).backward()
    sigma = np.log1p(np.exp(-10.0)) + 1e-6
    assert outputs.grad is not None
    np.testing.assert_allclose(outputs.grad[0, 3:6], -51 / (3 * sigma**2), rtol=1e-5)


@pytest.mark.parametrize("offset", [0.0, 1e4, -1e4])
def test_large_scores_cost_what_their_differences_cost(offset: float) -> None:
    """Equal scores make all C! orders equally likely. Behind a large score, the differences of small ones count."""
    alike = torch.full((1, 5), offset)
    assert PlackettLuce().nll(alike, torch.arange(5)[None]).item() == pytest.approx(np.log(120), rel=1e-6)
    first = torch.tensor([[offset, 0.25, 0.5]])
    order = torch.tensor([[0, 1, 2] if offset >= 0 else [1, 2, 0]])
    behind = np.log1p(np.exp(0.25)) + (np.log(1 + np.exp(0.25) + np.exp(0.5)) if offset == 0 else 0)
    assert PlackettLuce().nll(first, order).item() == pytest.approx(behind, rel=1e-6)
