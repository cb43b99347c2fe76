from __future__ import annotations

import pytest
import torch

from piecewise.models.linear import Linear


def test_linear_is_intercept_plus_slopes_times_inputs() -> None:
    model = Linear(3, 2).double()
    x = torch.randn(4, 3, dtype=torch.float64)
    y, rows = model(x).tolist(), x.tolist()
    beta0, beta = model.output.bias.tolist(), model.output.weight.tolist()
    for n in range(4):
        for j in range(2):
            by_hand = beta0[j] + sum(beta[j][i] * rows[n][i] for i in range(3))
            assert y[n][j] == pytest.approx(by_hand, abs=1e-14)


def test_images_are_read_row_by_row() -> None:
    model, images = Linear(6, 2), torch.randn(4, 1, 2, 3)
    torch.testing.assert_close(model(images), model(images.reshape(4, 6)), rtol=0, atol=0)


def test_inputs_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"x must have shape \(N, 3\), got shape \(5, 2\)"):
        Linear(3, 1)(torch.zeros(5, 2))
