from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from piecewise.models.cnn import Cnn
from piecewise.models.linear import Linear
from piecewise.models.mlp import Mlp
from piecewise.models.shallow import Shallow
from piecewise.theory.regions import PiecewiseLinear, piecewise_linear

SEEDS = st.integers(0, 2**32)
NETWORKS = settings(max_examples=60, deadline=None, database=None, derandomize=True)
LOW, HIGH = -2.0, 3.0


def exact(model: nn.Module, low: float = LOW, high: float = HIGH) -> PiecewiseLinear:
    function = piecewise_linear(model, low, high)
    assert function is not None
    return function


def deep(seed: int, depth: int, width: int) -> Mlp:
    torch.manual_seed(seed)
    return Mlp(1, 2, depth=depth, width=width).double()


def set_weights(model: nn.Module, *values: list[float]) -> None:
    for parameter, value in zip(model.parameters(), values, strict=True):
        parameter.data = torch.tensor(value, dtype=torch.float64).reshape(parameter.shape)


@NETWORKS
@given(seed=SEEDS, depth=st.integers(1, 3), width=st.integers(1, 12))
def test_the_function_is_the_network_everywhere(seed: int, depth: int, width: int) -> None:
    model = deep(seed, depth, width)
    function = exact(model)
    x = torch.linspace(LOW, HIGH, 2001, dtype=torch.float64)
    with torch.no_grad():
        y, at_knots = model(x[:, None]), model(function.knots[:, None])
    np.testing.assert_allclose(function.values, at_knots, atol=1e-12)
    for output in range(2):
        between = np.interp(x, function.knots, function.values[:, output])
        np.testing.assert_allclose(between, y[:, output], atol=1e-9)


@NETWORKS
@given(seed=SEEDS, width=st.integers(1, 20))
def test_a_shallow_network_bends_where_a_unit_starts_or_stops(seed: int, width: int) -> None:
    """Joints at −θ_d0/θ_d1; there the slope changes by φ_d |θ_d1|, whichever side the unit is active on."""
    torch.manual_seed(seed)
    model = Shallow(1, 1, width=width).double()
    theta0, theta1 = model.hidden.bias.detach().numpy(), model.hidden.weight.detach().numpy()[:, 0]
    bend = model.output.weight.detach().numpy()[0] * np.abs(theta1)
    places = -theta0 / theta1
    inside = np.flatnonzero((places > LOW) & (places < HIGH))
    inside = inside[np.argsort(places[inside])]
    function = exact(model)
    np.testing.assert_allclose(function.joints, places[inside], atol=1e-12)
    np.testing.assert_allclose(function.slopes.diff(dim=0)[:, 0], bend[inside], atol=1e-6)
    assert len(function.slopes) <= width + 1


@NETWORKS
@given(seed=SEEDS, depth=st.integers(1, 3), width=st.integers(1, 8))
def test_slopes_are_the_derivative(seed: int, depth: int, width: int) -> None:
    model = deep(seed, depth, width)
    function = exact(model)
    middle = ((function.knots[1:] + function.knots[:-1]) / 2).requires_grad_()
    wide = function.knots.diff() > 1e-6  # rounding drowns the slope of the narrower ones
    for output in range(2):
        (slope,) = torch.autograd.grad(model(middle[:, None])[:, output].sum(), middle)
        np.testing.assert_allclose(function.slopes[wide, output], slope[wide], atol=1e-8)


def test_every_unit_can_make_a_joint_of_its_own() -> None:
    """The bound of D + 1 regions is tight: h_d = a[x − d], joints at 0, 1, …, D − 1."""
    model = Shallow(1, 1, width=5)
    set_weights(model, [1.0] * 5, [0.0, -1.0, -2.0, -3.0, -4.0], [1.0, -2.0, 2.0, -2.0, 2.0], [0.0])
    function = exact(model, -1, 5)
    np.testing.assert_allclose(function.joints, [0, 1, 2, 3, 4], atol=1e-15)
    np.testing.assert_allclose(function.slopes[:, 0], [0, 1, -1, 1, -1, 1], atol=1e-14)


def test_a_second_layer_adds_joints_of_its_own() -> None:
    """z = 2a[x] − 4a[x − 1] − 1 bends at 0 and 1 and is zero at ½ and 1½; y = a[z] + a[z + 2] bends at all four."""
    model = Mlp(1, 1, depth=2, width=2)
    set_weights(model, [1.0, 1.0], [0.0, -1.0], [2.0, -4.0, 2.0, -4.0], [-1.0, 1.0], [1.0, 1.0], [0.0])
    function = exact(model, -1, 2)
    np.testing.assert_allclose(function.joints, [0, 0.5, 1, 1.5], atol=1e-15)
    np.testing.assert_allclose(function.values[:, 0], [1, 1, 2, 4, 2, 1], atol=1e-14)
    np.testing.assert_allclose(function.slopes[:, 0], [0, 2, 4, -4, -2], atol=1e-13)


def test_joints_outside_the_interval_are_left_out() -> None:
    model = Shallow(1, 1, width=3)
    set_weights(model, [1.0, 1.0, 1.0], [-1.0, 5.0, -9.0], [1.0, 1.0, 1.0], [0.0])
    assert exact(model).joints.tolist() == pytest.approx([1.0])


def test_units_that_share_a_joint_make_one() -> None:
    """h = a[x] + a[−x] = |x|: two units, one joint, two regions with slopes −1 and 1."""
    model = Shallow(1, 1, width=2)
    set_weights(model, [1.0, -1.0], [0.0, 0.0], [1.0, 1.0], [0.0])
    function = exact(model)
    assert function.joints.tolist() == [0.0]
    assert function.slopes[:, 0].tolist() == pytest.approx([-1.0, 1.0])


def test_a_joint_that_later_layers_switch_off_is_none() -> None:
    """y = a[−1 − a[x]] is zero everywhere: the first layer's joint at 0 never reaches the output."""
    model = Mlp(1, 1, depth=2, width=1)
    set_weights(model, [1.0], [0.0], [-1.0], [-1.0], [1.0], [0.0])
    assert exact(model).joints.tolist() == []


def test_a_line_has_one_region() -> None:
    model = Linear(1, 2)
    function = exact(model)
    assert function.knots.tolist() == [LOW, HIGH]
    np.testing.assert_allclose(function.slopes[0], model.output.weight.detach()[:, 0].double(), atol=1e-12)


@pytest.mark.parametrize(
    "model",
    [Shallow(1, 1, activation="tanh"), Mlp(1, 1, activation="sigmoid"), Shallow(2, 1), Mlp(2, 1), Cnn((1, 8, 8), 1)],
    ids=["tanh", "sigmoid", "two inputs", "two inputs, deep", "cnn"],
)
def test_other_models_have_no_such_function(model: nn.Module) -> None:
    assert piecewise_linear(model, LOW, HIGH) is None
