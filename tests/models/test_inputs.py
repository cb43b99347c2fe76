"""Inputs of another shape are refused by name, by every model."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from piecewise.models.cnn import Cnn
from piecewise.models.gabor import Gabor
from piecewise.models.linear import Linear
from piecewise.models.mlp import Mlp
from piecewise.models.residual import Residual
from piecewise.models.resnet import ResNet
from piecewise.models.shallow import Shallow
from piecewise.theory.patterns import count_patterns

FLAT = [Linear(6, 1), Shallow(6, 1), Mlp(6, 1, width=4), Residual(6, 1, width=4)]
IMAGES = [Cnn((3, 8, 8), 2, width=[4]).eval(), ResNet((3, 8, 8), 2, width=[4]).eval()]


@pytest.mark.parametrize("model", FLAT, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((6,), r"\(N, 6\)"),
        ((5, 5), r"\(N, 6\)"),
        ((), r"\(N, 6\)"),
        ((5, 1, 2, 4), r"\(N, …\) with 6 numbers in each of N"),
    ],
)
def test_vectors_of_another_length_are_refused(model: nn.Module, shape: tuple[int, ...], wanted: str) -> None:
    message = rf"x must have shape {wanted}, got shape \({', '.join(str(size) for size in shape)},?\)"
    with pytest.raises(ValueError, match=message):
        model(torch.zeros(shape))
    assert model(torch.zeros(5, 1, 2, 3)).shape == (5, 1)


@pytest.mark.parametrize("model", IMAGES, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize("shape", [(3, 8, 8), (5, 1, 8, 8), (5, 192)])
def test_images_of_another_shape_are_refused(model: nn.Module, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"x must have shape \(N, 3, H, W\), got shape \("):
        model(torch.zeros(shape))
    assert model(torch.zeros(5, 3, 8, 8)).shape == (5, 2)


@pytest.mark.parametrize("shape", [(5,), (5, 3)])
def test_gabor_refuses_more_than_one_input(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"x must have shape \(N, 1\), got shape \(5"):
        Gabor(1, 1)(torch.zeros(shape))


def test_counting_patterns_refuses_a_vector() -> None:
    with pytest.raises(ValueError, match=r"x must have shape \(N, 2\), got shape \(5,\)"):
        count_patterns(Shallow(2, 1), torch.zeros(5))


def test_gabors_trace_holds_the_phase_and_the_wave() -> None:
    x = torch.linspace(-15, 15, 7)[:, None]
    model = Gabor(1, 1, phi0=1.0, phi1=8.0)
    trace = model.trace(x)
    (phase,), (h,) = trace.pre_activations, trace.activations
    torch.testing.assert_close(phase, 1 + 0.48 * x)
    torch.testing.assert_close(h, torch.sin(phase) / torch.exp(phase**2 / 32))
    assert torch.equal(h, trace.output)
    assert torch.equal(model(x), trace.output)
