from __future__ import annotations

import timeit

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from piecewise.models.cnn import Cnn
from piecewise.models.linear import Linear
from piecewise.models.mlp import Mlp
from piecewise.models.residual import Residual
from piecewise.models.shallow import Shallow
from piecewise.theory.joints import PiecewiseLinear, piecewise_linear

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
    wide = function.knots.diff() > 1e-6  # rounding hides the slope of narrower regions
    for output in range(2):
        (slope,) = torch.autograd.grad(model(middle[:, None])[:, output].sum(), middle)
        np.testing.assert_allclose(function.slopes[wide, output], slope[wide], atol=1e-8)


def test_every_unit_can_make_its_own_joint() -> None:
    """The bound of D + 1 regions is tight: h_d = a[x − d], joints at 0, 1, …, D − 1."""
    model = Shallow(1, 1, width=5)
    set_weights(model, [1.0] * 5, [0.0, -1.0, -2.0, -3.0, -4.0], [1.0, -2.0, 2.0, -2.0, 2.0], [0.0])
    function = exact(model, -1, 5)
    np.testing.assert_allclose(function.joints, [0, 1, 2, 3, 4], atol=1e-15)
    np.testing.assert_allclose(function.slopes[:, 0], [0, 1, -1, 1, -1, 1], atol=1e-14)


def test_a_second_layer_adds_its_own_joints() -> None:
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


def test_a_joint_that_later_layers_switch_off_is_left_out() -> None:
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
def test_smooth_models_and_models_of_several_inputs_give_none(model: nn.Module) -> None:
    assert piecewise_linear(model, LOW, HIGH) is None


def networks(seed: int) -> list[nn.Module]:
    """Models that are affine maps and ReLU in evaluation, with running statistics other than 0 and 1."""
    torch.manual_seed(seed)
    models = [
        Mlp(1, 2, depth=3, width=6, residual=True),
        Mlp(1, 2, depth=2, width=8, norm="batch", dropout=0.5),
        Residual(1, 2, depth=3, width=6, norm="batch"),
        Residual(1, 2, depth=2, width=5),
    ]
    for model in models:
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm1d):
                nn.init.normal_(layer.running_mean)
                nn.init.uniform_(layer.running_var, 0.5, 2)
                nn.init.normal_(layer.weight)
                nn.init.normal_(layer.bias)
    return [model.double().eval() for model in models]


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("seed", range(5))
def test_residual_paths_and_batch_norm_keep_a_network_piecewise_linear(seed: int, kind: int) -> None:
    model = networks(seed)[kind]
    function, x = exact(model), torch.linspace(LOW, HIGH, 2001, dtype=torch.float64)
    with torch.no_grad():
        y = model(x[:, None])
    for output in range(2):
        np.testing.assert_allclose(np.interp(x, function.knots, function.values[:, output]), y[:, output], atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_pattern_changes_on_a_dense_grid_are_the_joints(seed: int) -> None:
    """Brute force: along a grid of 200,001 points the pattern changes at the joints and nowhere else."""
    model = deep(seed, depth=4, width=12)
    function = exact(model)
    x = torch.linspace(LOW, HIGH, 200_001, dtype=torch.float64)
    with torch.no_grad():
        signs = torch.cat([z > 0 for z in model.trace(x[:, None]).pre_activations], dim=1)
    changes = torch.nonzero((signs[1:] != signs[:-1]).any(dim=1)).flatten()
    assert 1 + len(changes) <= function.num_patterns  # two joints may share a step of the grid, none is missed
    assert function.num_patterns - 1 - len(changes) <= 2
    for place in x[changes] + (HIGH - LOW) / 400_000:
        is_bent = (function.joints - place).abs().min() < (HIGH - LOW) / 200_000
        assert is_bent or function.num_patterns > len(function.slopes)


def deepest() -> Mlp:
    torch.manual_seed(0)
    model = Mlp(1, 1, depth=10, width=50, init="he").double()
    with torch.no_grad():
        for layer in model.hidden:
            layer.bias.normal_(std=0.3)
    return model


def signs_at(model: Mlp, x: np.ndarray) -> np.ndarray:
    """The activation pattern at each x, (N, 500), by a loop over the layers in NumPy's float64."""
    h, signs = x[:, None], []
    for layer in model.hidden:
        z = h @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()  # type: ignore[operator, union-attr]
        signs.append(z > 0)
        h = np.maximum(z, 0)
    return np.hstack(signs)


def test_ten_layers_of_fifty_units_are_exact_to_the_last_region() -> None:
    """At three points of every region the network lies on the line and has the same pattern."""
    model = deepest()
    # It takes about 0.01 s. A busy machine may exceed the limit twice.
    assert any(timeit.timeit(lambda: exact(model), number=1) < 1 for _ in range(3))
    function = exact(model)
    assert function.num_patterns == len(function.slopes) > 100
    left, width = function.knots[:-1], function.knots.diff()
    patterns = []
    with torch.no_grad():
        for share in (0.01, 0.5, 0.99):
            at = left + share * width
            wanted = function.values[:-1, 0] + share * width * function.slopes[:, 0]
            torch.testing.assert_close(model(at[:, None])[:, 0], wanted, atol=1e-9, rtol=1e-9)
            patterns.append(signs_at(model, at.numpy()))
    assert (patterns[0] == patterns[1]).all()
    assert (patterns[0] == patterns[2]).all()
    assert ((patterns[1][1:] != patterns[1][:-1]).sum(axis=1) == 1).all(), "one unit changes at each joint"


def test_ten_layers_of_fifty_units_have_as_many_regions_as_brute_force_finds() -> None:
    """A sample that is made ten times denser wherever neighbours differ in more than one unit, until none do. It has as
    many changes as there are joints, and each joint lies between its two points."""
    model, ends, count, places = deepest(), np.array([[LOW, HIGH]]), 10_000, np.empty((0, 2))
    while len(ends):
        x = np.linspace(*ends.T, count + 1, axis=1)  # (S, count + 1)
        signs = signs_at(model, x.ravel()).reshape(*x.shape, -1)
        changes = (signs[:, 1:] != signs[:, :-1]).sum(axis=2)
        pairs = np.stack([x[:, :-1], x[:, 1:]], axis=2)
        places, ends, count = np.vstack([places, pairs[changes == 1]]), pairs[changes > 1], 10
        assert not len(ends) or np.ptp(ends, axis=1).min() > 1e-9, "two units change at one place"
    function = exact(model)
    places = places[places[:, 0].argsort()]
    assert len(places) == function.num_patterns - 1
    assert ((places[:, 0] <= function.joints.numpy()) & (function.joints.numpy() <= places[:, 1])).all()


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_joints_within_the_tolerance_count_as_one_and_are_reported(unit: float) -> None:
    """On an interval of 5 units, whatever the unit of x: joints 4e-9 units apart merge, joints 6e-9 apart do not."""
    model = Shallow(1, 1, width=4).double()
    set_weights(model, [1.0] * 4, [0.0, -4e-9 * unit, -unit, -(1 + 6e-9) * unit], [1.0, 1.0, 1.0, 1.0], [0.0])
    function = exact(model, LOW * unit, HIGH * unit)
    np.testing.assert_allclose(function.joints / unit, [0, 1, 1 + 6e-9], atol=1e-12)
    assert function.num_merged == 1
    np.testing.assert_allclose(function.slopes[:, 0], [0, 2, 3, 4], atol=1e-9)


def test_a_dense_row_of_joints_is_not_merged_into_one() -> None:
    """401 joints, each less than a fifth of the tolerance after the one before: every sixth is kept."""
    model = Shallow(1, 1, width=401).double()
    places = torch.arange(401, dtype=torch.float64) * 0.9e-9
    set_weights(model, [1.0] * 401, (-places).tolist(), [1.0] * 401, [0.0])
    function = exact(model)
    np.testing.assert_allclose(function.joints, places[::6], atol=1e-15)
    assert function.num_merged == 401 - 67


def test_outputs_of_different_size_have_their_joints() -> None:
    """A second output whose weights are 1e-10 of the first's bends where its own units start."""
    model = Shallow(1, 2, width=4).double()
    weights = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1e-10, 1e-10]
    set_weights(model, [1.0] * 4, [-0.2, -0.4, -0.6, -0.8], weights, [0.0, 0.0])
    function = exact(model, 0.0, 1.0)
    np.testing.assert_allclose(function.joints, [0.2, 0.4, 0.6, 0.8], atol=1e-15)
    np.testing.assert_allclose(function.slopes[:, 1], [0, 0, 0, 1e-10, 2e-10], rtol=1e-9)
    assert (function.num_merged, function.num_straightened) == (0, 0)


@pytest.mark.parametrize(("places", "weight"), [((0.3, 0.6), 1e13), ((0.6, 0.3), 1e10)])
def test_a_unit_of_little_weight_bends_beside_one_of_much(places: tuple[float, float], weight: float) -> None:
    """Before the steep unit starts, and where it is active: there the slopes are 1e10 and 1e10 + 1."""
    model = Shallow(1, 1, width=2).double()
    set_weights(model, [1.0, 1.0], [-places[0], -places[1]], [1.0, weight], [0.0])
    function = exact(model, 0.0, 1.0)
    np.testing.assert_allclose(function.joints, sorted(places), atol=1e-15)
    assert function.num_straightened == 0


@pytest.mark.parametrize(("bend", "is_kept"), [(3e-12, True), (3e-13, False)])
def test_a_bend_within_rounding_is_no_joint_and_is_reported(bend: float, is_kept: bool) -> None:
    """A slope of 1 that changes by more or less than STRAIGHT."""
    model = Shallow(1, 1, width=2).double()
    set_weights(model, [1.0, 1.0], [9.0, 0.0], [1.0, bend], [0.0])
    function = exact(model)
    assert function.joints.tolist() == [0.0] * is_kept
    assert (function.num_patterns, function.num_straightened) == (2, int(not is_kept))


def test_units_that_cancel_leave_no_joint() -> None:
    """0.1 + 0.2 − 0.3 is 5.6e-17 in float64, and 1.1e-16 with 0.7 − 0.7: the function is flat from 2 on, and at 3."""
    model = Shallow(1, 1, width=5).double()
    set_weights(model, [1.0] * 5, [0.0, -1.0, -2.0, -3.0, -3.0], [0.1, 0.2, -0.3, 0.7, -0.7], [0.0])
    function = exact(model, -2.0, 4.0)
    np.testing.assert_allclose(function.joints, [0, 1, 2], atol=1e-15)
    assert (function.num_straightened, abs(function.slopes[-1, 0].item()) < 1e-16) == (1, True)


def test_a_joint_at_an_end_of_the_interval_is_left_out() -> None:
    model = Shallow(1, 1, width=2)
    set_weights(model, [1.0, 1.0], [-LOW, -HIGH], [1.0, 1.0], [0.0])
    assert exact(model).joints.tolist() == []
    set_weights(model, [1.0, 1.0], [-LOW - 1e-12, -HIGH + 1e-12], [1.0, 1.0], [0.0])
    function = exact(model)
    assert (function.knots.tolist(), function.num_merged) == ([LOW, HIGH], 2)


@pytest.mark.parametrize("weights", [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
def test_zero_weights_and_dead_units_bend_nothing(weights: list[float]) -> None:
    model = Shallow(1, 1, width=3)
    set_weights(model, weights, [-99.0, -1.0, 2.0], [1.0, 1.0, 1.0], [0.0])
    function = exact(model)
    assert (len(function.joints), function.num_patterns) == (0, 1)
    assert function.values[:, 0].tolist() == [2.0, 2.0]


def test_scaling_a_unit_moves_no_joint() -> None:
    """Multiplying θ_d by c > 0 and dividing φ_d by c leaves the function as it is; so does any order of the units."""
    torch.manual_seed(1)
    model, other = Shallow(1, 1, width=6).double(), Shallow(1, 1, width=6).double()
    order, scale = torch.randperm(6), torch.rand(6, dtype=torch.float64) + 0.5
    with torch.no_grad():
        other.hidden.weight.copy_((scale[:, None] * model.hidden.weight)[order])
        other.hidden.bias.copy_((scale * model.hidden.bias)[order])
        other.output.weight.copy_((model.output.weight / scale)[:, order])
        other.output.bias.copy_(model.output.bias)
    torch.testing.assert_close(exact(other).knots, exact(model).knots)
    torch.testing.assert_close(exact(other).slopes, exact(model).slopes)


def test_an_empty_interval_is_refused() -> None:
    with pytest.raises(ValueError, match=r"low=1.0 must be less than high=1.0"):
        piecewise_linear(Shallow(1, 1), 1.0, 1.0)


def test_a_joint_of_one_output_alone_is_a_joint() -> None:
    """y = (a[x], a[x − 1]): each output bends where the other does not."""
    model = Shallow(1, 2, width=2)
    set_weights(model, [1.0, 1.0], [0.0, -1.0], [1.0, 0.0, 0.0, 1.0], [0.0, 0.0])
    function = exact(model)
    np.testing.assert_allclose(function.joints, [0, 1], atol=1e-15)
    np.testing.assert_allclose(function.slopes, [[0, 0], [1, 0], [1, 1]], atol=1e-14)


@pytest.mark.parametrize("exponent", [-50, 50])
def test_in_other_units_of_x_or_y_the_joints_are_the_same(exponent: int) -> None:
    """Tolerances are relative. The units are powers of two, so that the same digits are computed."""
    unit, function = 2.0**exponent, exact(deep(3, 2, 8))
    assert len(function.joints) > 3
    stretched, raised = deep(3, 2, 8), deep(3, 2, 8)
    with torch.no_grad():
        stretched.hidden[0].weight /= unit
        raised.output.weight *= unit
        raised.output.bias *= unit
    wide = exact(stretched, LOW * unit, HIGH * unit)
    assert torch.equal(wide.knots, function.knots * unit)
    assert torch.equal(wide.slopes, function.slopes / unit)
    high = exact(raised)
    assert torch.equal(high.knots, function.knots)
    assert torch.equal(high.slopes, function.slopes * unit)


def test_zeros_without_a_change_of_sign_make_no_joint() -> None:
    """One pre-activation is zero everywhere, two reach zero exactly at an end. Nothing is merged."""
    model = Shallow(1, 1, width=4)
    set_weights(model, [0.0, 1.0, 1.0, 1.0], [0.0, -LOW, -HIGH, 0.0], [1.0, 1.0, 1.0, 1.0], [0.0])
    function = exact(model)
    assert function.knots.tolist() == [LOW, 0.0, HIGH]
    assert (function.num_patterns, function.num_merged) == (2, 0)
    np.testing.assert_allclose(function.slopes[:, 0], [1, 2], atol=1e-14)


def test_a_joint_that_is_switched_off_is_not_reported_as_rounding() -> None:
    """y = a[−1 − a[x]] has two patterns with exactly equal slopes."""
    model = Mlp(1, 1, depth=2, width=1)
    set_weights(model, [1.0], [0.0], [-1.0], [-1.0], [1.0], [0.0])
    function = exact(model)
    assert (len(function.slopes), function.num_patterns, function.num_straightened) == (1, 2, 0)


def test_an_output_of_the_size_of_anothers_rounding_keeps_its_joints() -> None:
    """y₂ bends at 0.5 by 1e-20 where y₁ has a slope of 1: each output is judged by its own steepest slope."""
    model = Shallow(1, 2, width=2)
    set_weights(model, [1.0, 1.0], [0.0, -0.5], [1.0, 0.0, 0.0, 1e-20], [0.0, 0.0])
    function = exact(model)
    np.testing.assert_allclose(function.joints, [0, 0.5], atol=1e-15)
    np.testing.assert_allclose(function.slopes[:, 1], [0, 0, 1e-20], rtol=1e-12)
