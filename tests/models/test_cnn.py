from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d

from piecewise.errors import BadInput
from piecewise.models.cnn import Cnn

EPSILON = 1e-5  # batch norm's; with its initial statistics it divides by √(1 + ε)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 8, 11)])
def test_output_has_one_row_for_each_image(shape: tuple[int, int, int]) -> None:
    assert Cnn(shape, 10)(torch.randn(2, *shape)).shape == (2, 10)


def test_number_of_parameters() -> None:
    """Two 3 × 3 convolutions without bias and two batch norms of two numbers per channel for each block."""
    widths = [1, 4, 6]
    blocks = sum(9 * before * after + 9 * after * after + 4 * after for before, after in pairwise(widths))
    count = sum(parameter.numel() for parameter in Cnn((1, 12, 12), 10, widths[1:]).parameters())
    assert count == blocks + 6 * 10 + 10


def convolve(images: np.ndarray, weight: torch.Tensor) -> np.ndarray:
    """images: (C, H, W), weight: (D, C, 3, 3) → (D, H, W), zeros around, by SciPy."""
    kernels = weight.detach().numpy()
    return np.stack(
        [sum(correlate2d(c, k, mode="same") for c, k in zip(images, kernel, strict=True)) for kernel in kernels]
    )


def test_one_block_is_convolution_pooling_and_the_maximum() -> None:
    model = Cnn((2, 6, 4), 3, width=[5]).double().eval()
    image = torch.randn(1, 2, 6, 4, dtype=torch.float64)
    first, second = (layer.weight for layer in model.modules() if isinstance(layer, torch.nn.Conv2d))
    h = convolve(image[0].numpy(), first).reshape(5, 3, 2, 2, 2).max(axis=(2, 4))
    h = np.maximum(h / np.sqrt(1 + EPSILON), 0)
    h = np.maximum(convolve(h, second) / np.sqrt(1 + EPSILON), 0).max(axis=(1, 2))
    y = model.output.weight.detach().numpy() @ h + model.output.bias.detach().numpy()
    np.testing.assert_allclose(model(image)[0].detach(), y, atol=1e-12)


def test_data_that_are_no_images_are_refused() -> None:
    with pytest.raises(BadInput, match=r"model=cnn needs images .* the data has shape \(40,\)"):
        Cnn((40,), 10)


def test_images_too_small_for_so_many_halvings_are_refused() -> None:
    with pytest.raises(BadInput, match=r"model.width=\[1, 1, 1\] halves images of \(28, 7\) pixels too often"):
        Cnn((1, 28, 7), 10, [1, 1, 1])
    assert Cnn((1, 8, 8), 10, [1, 1, 1]).eval()(torch.zeros(1, 1, 8, 8)).shape == (1, 10), "the tight case"


@pytest.mark.parametrize("width", [0, 2.5, True])
def test_an_invalid_width_is_refused(width: int) -> None:
    with pytest.raises(BadInput, match=f"model.width={width!r} must be a whole number of at least 1"):
        Cnn((1, 28, 28), 10, [16, width])
