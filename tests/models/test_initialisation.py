from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from piecewise.errors import BadInput
from piecewise.models.cnn import Cnn
from piecewise.models.initialisation import initialise
from piecewise.models.linear import Linear
from piecewise.models.mlp import Mlp
from piecewise.models.residual import Residual
from piecewise.models.resnet import ResNet
from piecewise.models.shallow import Shallow


@pytest.mark.parametrize(
    ("name", "variance", "wanted"),
    [("he", None, 2 / 300), ("glorot", None, 2 / 700), ("normal", 0.04, 0.04), ("zeros", None, 0.0)],
)
def test_weights_have_their_variance_and_biases_are_zero(name: str, variance: float | None, wanted: float) -> None:
    """120,000 weights: the variance within 4 standard errors, the fourth moment that of a normal distribution."""
    torch.manual_seed(0)
    layer = nn.Linear(300, 400).double()
    initialise(layer, name, variance)
    weights = layer.weight.detach().flatten()
    assert abs(float(weights.square().mean()) - wanted) <= 4 * wanted * math.sqrt(2 / weights.numel())
    assert abs(float((weights**4).mean()) - 3 * wanted**2) <= 4 * wanted**2 * math.sqrt(96 / weights.numel())
    assert not layer.bias.any()


def test_the_fan_in_of_a_convolution_counts_the_kernels_pixels() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(50, 60, kernel_size=3, bias=False)
    initialise(layer, "he")
    assert float(layer.weight.detach().var()) == pytest.approx(2 / (9 * 50), rel=0.05)
    initialise(layer, "glorot")
    assert float(layer.weight.detach().var()) == pytest.approx(2 / (9 * 110), rel=0.05)


def test_he_keeps_the_scale_of_activations_over_depth() -> None:
    """E[h²] of a ReLU layer with σ² = 2/D is that of the layer before (UDL eq. 7.31); half of σ² halves E[h²]."""
    torch.manual_seed(0)
    x = torch.randn(200, 400)
    for name, variance, growth in (("he", None, 1.0), ("normal", 1 / 400, 0.5)):
        model = Mlp(400, 1, depth=20, width=400, init=name, init_variance=variance)
        scales = [float(z.detach().square().mean()) for z in model.trace(x).pre_activations]
        assert (scales[-1] / scales[0]) ** (1 / 19) == pytest.approx(growth, rel=0.08)  # about 3 standard errors


def test_default_is_pytorchs_own_and_draws_nothing() -> None:
    torch.manual_seed(3)
    layer = nn.Linear(5, 7)
    torch.manual_seed(3)
    again = nn.Linear(5, 7)
    state = torch.get_rng_state()
    initialise(again, "default")
    assert torch.equal(layer.weight, again.weight)
    assert torch.equal(layer.bias, again.bias)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "make",
    [
        lambda init: Linear(3, 2, init=init),
        lambda init: Shallow(3, 2, init=init),
        lambda init: Mlp(3, 2, init=init),
        lambda init: Residual(3, 2, init=init),
        lambda init: Cnn((1, 8, 8), 2, init=init),
        lambda init: ResNet((1, 8, 8), 2, init=init),
    ],
    ids=["linear", "shallow", "mlp", "residual", "cnn", "resnet"],
)
def test_every_model_draws_its_weights_by_name_and_seed(make: object) -> None:
    def weights(init: str) -> torch.Tensor:
        torch.manual_seed(4)
        model = make(init)  # type: ignore[operator]
        layers = [m for m in model.modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
        return torch.cat([layer.weight.detach().flatten() for layer in layers])

    assert not weights("zeros").any()
    assert torch.equal(weights("he"), weights("he"))
    assert not torch.equal(weights("he"), weights("glorot"))
    assert not torch.equal(weights("he"), weights("default"))


@pytest.mark.parametrize(
    ("name", "variance", "message"),
    [
        ("hee", None, "model.init='hee' is unknown; did you mean 'he'?"),
        ("normal", None, "model.init_variance=None must be given with init=normal, and with nothing else"),
        ("he", 0.1, "model.init_variance=0.1 must be given with init=normal"),
        ("normal", -1.0, "model.init_variance=-1.0 must be a number of at least 0"),
        ("normal", math.nan, "model.init_variance=nan must be a number of at least 0"),
    ],
)
def test_an_invalid_initialisation_is_refused(name: str, variance: float | None, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Linear(1, 1, name, variance)


@pytest.mark.parametrize(
    "make",
    [
        lambda init, variance: Linear(300, 2, init, variance),
        lambda init, variance: Shallow(300, 2, 50, init=init, init_variance=variance),
        lambda init, variance: Mlp(300, 2, width=50, init=init, init_variance=variance),
        lambda init, variance: Residual(300, 2, 3, 50, init=init, init_variance=variance),
        lambda init, variance: Cnn((3, 8, 8), 2, width=[20], init=init, init_variance=variance),
        lambda init, variance: ResNet((3, 8, 8), 2, width=[10, 20], init=init, init_variance=variance),
    ],
    ids=["linear", "shallow", "mlp", "residual", "cnn", "resnet"],
)
def test_every_model_uses_the_given_variance(make: object) -> None:
    """The variance of all weights, within 4 standard errors. Zero is allowed."""
    torch.manual_seed(0)
    for wanted in (9.0, 0.0):
        model = make("normal", wanted)  # type: ignore[operator]
        layers = [m for m in model.modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
        weights = torch.cat([layer.weight.detach().flatten() for layer in layers]).double()
        assert abs(float(weights.square().mean()) - wanted) <= 4 * wanted * math.sqrt(2 / weights.numel())


def test_an_infinite_variance_is_refused() -> None:
    with pytest.raises(BadInput, match=r"model.init_variance=inf must be a number of at least 0"):
        Linear(1, 1, "normal", math.inf)
