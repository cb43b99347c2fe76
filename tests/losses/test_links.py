from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from piecewise.losses.links import CEILING, FLOOR, positive, rate


def test_positive_is_softplus_above_its_floor() -> None:
    z = torch.tensor([-1e4, -3.0, 0.0, 2.5, 1e4], dtype=torch.float64)
    by_hand = [0.0, math.log1p(math.exp(-3)), math.log(2), math.log1p(math.exp(2.5)), 1e4]
    np.testing.assert_allclose(positive(z), np.array(by_hand) + FLOOR, rtol=1e-12)
    assert positive(torch.tensor(-1e4)).item() == pytest.approx(1e-6, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_rate_is_the_exponential_and_beyond_the_ceiling_its_tangent(dtype: torch.dtype) -> None:
    z = torch.tensor([-30.0, -1.0, 0.0, 19.9, CEILING, 21.0, 1e4], dtype=dtype, requires_grad=True)
    value, log_value = rate(z)
    steep = math.exp(CEILING)
    wanted = [*(math.exp(number) for number in z.tolist()[:5]), 2 * steep, steep * (1 + 1e4 - CEILING)]
    np.testing.assert_allclose(value.detach(), wanted, rtol=2e-6)
    np.testing.assert_allclose(log_value.detach(), np.log(wanted), rtol=2e-6)
    value.sum().backward()
    assert z.grad is not None
    np.testing.assert_allclose(z.grad[5:], steep, rtol=2e-6)
    np.testing.assert_allclose(z.grad[:4], wanted[:4], rtol=2e-6)


def test_the_logarithm_stays_exact_where_the_rate_underflows() -> None:
    value, log_value = rate(torch.tensor([-1e4, -200.0]))
    assert log_value.tolist() == [-1e4, -200.0]
    assert (value > 0).all()
