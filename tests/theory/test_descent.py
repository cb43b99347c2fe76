"""Steps as pure functions against `torch.optim`, bit for bit, and against formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar, rosen
from torch import Tensor

from piecewise.theory.curvature import hessian
from piecewise.theory.descent import Adam, Momentum, gd, line_search
from piecewise.theory.valleys import Valley, banana, bowl, saddle, two_wells


def run_torch(kind: Any, valley: Valley, start: Tensor, steps: int, **options: Any) -> list[Tensor]:
    phi = start.clone().requires_grad_()
    optimizer = kind([phi], foreach=False, **options)
    path = []
    for _ in range(steps):
        optimizer.zero_grad()
        phi.grad = valley.gradient(phi.detach())
        optimizer.step()
        path.append(phi.detach().clone())
    return path


def run_pure(step: Callable[..., Any], valley: Valley, start: Tensor, steps: int, state: Any) -> list[Tensor]:
    phi, path = start, []
    for _ in range(steps):
        phi, state = step(phi, valley.gradient(phi), state)
        path.append(phi)
    return path


STEPS: dict[str, tuple[Any, Any, type[torch.optim.Optimizer], dict[str, Any]]] = {
    "gd": (lambda phi, g, s: (gd(phi, g, 1e-3), s), None, torch.optim.SGD, {"lr": 1e-3}),
    "momentum": (
        lambda phi, g, s: s.step(phi, g, 1e-3, 0.9),
        Momentum(),
        torch.optim.SGD,
        {"lr": 1e-3, "momentum": 0.9},
    ),
    "nesterov": (
        lambda phi, g, s: s.nesterov(phi, g, 1e-3, 0.9),
        Momentum(),
        torch.optim.SGD,
        {"lr": 1e-3, "momentum": 0.9, "nesterov": True},
    ),
    "adam": (lambda phi, g, s: s.step(phi, g, 0.05), Adam(), torch.optim.Adam, {"lr": 0.05}),
    "adam with other constants": (
        lambda phi, g, s: s.step(phi, g, 0.01, (0.8, 0.95), 1e-4),
        Adam(),
        torch.optim.Adam,
        {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-4},
    ),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", STEPS)
def test_a_hundred_steps_are_torchs_bit_for_bit(name: str, dtype: torch.dtype) -> None:
    step, state, kind, options = STEPS[name]
    start = torch.tensor([-1.2, 1.0], dtype=dtype)
    pure = run_pure(step, banana(), start, 100, state)
    theirs = run_torch(kind, banana(), start, 100, **options)
    for ours, wanted in zip(pure, theirs, strict=True):
        assert torch.equal(ours, wanted)
    assert pure[-1].isfinite().all()


def test_a_step_changes_none_of_its_arguments() -> None:
    phi, g = torch.ones(3), torch.full((3,), 2.0)
    _, momentum = Momentum().step(phi, g, 0.1, 0.9)
    _, adam = Adam().step(phi, g, 0.1)
    before = [value.clone() for value in (momentum.m, adam.m, adam.v)]  # type: ignore[union-attr]
    momentum.step(phi, g, 0.1, 0.9)
    momentum.nesterov(phi, g, 0.1, 0.9)
    adam.step(phi, g, 0.1)
    assert all(torch.equal(a, b) for a, b in zip(before, (momentum.m, adam.m, adam.v), strict=True))  # type: ignore[arg-type]
    assert (phi.tolist(), g.tolist()) == ([1.0] * 3, [2.0] * 3)


def test_adams_first_step_is_lr_in_the_direction_of_the_sign() -> None:
    """m̃ = g and ṽ = g², whatever the size of g (UDL 6.4)."""
    phi, _ = Adam().step(torch.zeros(3), torch.tensor([1e-3, -5.0, 1e4]), lr=0.1, eps=0.0)
    torch.testing.assert_close(phi, torch.tensor([-0.1, 0.1, -0.1]))


def test_momentum_on_a_constant_slope_approaches_its_speed() -> None:
    """m → g / (1 − β): ten times the step of gradient descent at β = 0.9."""
    phi, state = torch.zeros(1, dtype=torch.float64), Momentum()
    for _ in range(400):
        before = phi
        phi, state = state.step(phi, torch.ones(1, dtype=torch.float64), 0.01, 0.9)
    assert (before - phi).item() == pytest.approx(0.1, abs=1e-12)


def test_gradient_descent_on_a_bowl_is_its_closed_form() -> None:
    """φ_t = (1 − α λ)ᵗ φ₀ in each direction."""
    valley, phi = bowl((1.0, 30.0)), torch.tensor([2.0, -1.0], dtype=torch.float64)
    for _ in range(50):
        phi = gd(phi, valley.gradient(phi), 0.05)
    wanted = [2.0 * (1 - 0.05) ** 50, -1.0 * (1 - 0.05 * 30) ** 50]
    np.testing.assert_allclose(phi, wanted, rtol=1e-9)


@settings(max_examples=40, deadline=None, database=None, derandomize=True)
@given(place=st.floats(-3, 3), power=st.sampled_from([1, 2, 4]), low=st.floats(-9, -4), high=st.floats(4, 9))
def test_a_bracket_closes_on_the_minimum_by_thirds(place: float, power: int, low: float, high: float) -> None:
    brackets = line_search(lambda t: abs(t - place) ** power, low, high, tolerance=1e-3)
    for (a, d), (b, e) in pairwise(brackets):
        assert (e - b) / (d - a) == pytest.approx(2 / 3, rel=1e-6)
        assert a <= b < e <= d
        assert b <= place + 1e-9
        assert place - 1e-9 <= e
    assert brackets[-1][1] - brackets[-1][0] <= 1e-3
    assert len(brackets) - 1 == math.ceil(math.log((high - low) / 1e-3) / math.log(1.5))


def test_the_line_search_finds_scipys_minimum() -> None:
    def loss(t: float) -> float:
        return math.exp(t) - 3 * t

    low, high = line_search(loss, -4, 6)[-1]
    assert low - 1e-6 <= minimize_scalar(loss, bounds=(-4, 6), method="bounded").x <= high + 1e-5
    assert low <= math.log(3) <= high


def test_a_line_search_between_neighbouring_floats_ends() -> None:
    assert len(line_search(lambda t: t, 1.0, math.nextafter(1.0, 2), tolerance=1e-300)) <= 3


@pytest.mark.parametrize(("low", "high", "tolerance"), [(1.0, 1.0, 0.1), (2.0, 1.0, 0.1), (0.0, 1.0, 0.0)])
def test_an_empty_bracket_is_refused(low: float, high: float, tolerance: float) -> None:
    with pytest.raises(ValueError, match=f"low={low} must be less than high={high}"):
        line_search(abs, low, high, tolerance)


@pytest.mark.parametrize("valley", [bowl(), two_wells(), two_wells(-0.7), banana(), saddle()], ids=range(5))
def test_the_listed_minima_are_minima(valley: Valley) -> None:
    """The gradient is zero, every direction curves upwards, the lowest comes first, all lie in the box."""
    for minimum in valley.minima:
        assert float(valley.gradient(minimum).norm()) < 1e-12
        assert (torch.linalg.eigvalsh(hessian(valley.loss, minimum)) > 0).all()
        assert ((valley.box[:, 0] < minimum) & (minimum < valley.box[:, 1])).all()
    losses = [float(valley.loss(minimum)) for minimum in valley.minima]
    assert losses == sorted(losses)
    side = [torch.linspace(*row, 801 if len(valley.box) == 1 else 101).double() for row in valley.box.tolist()]
    grid = torch.cartesian_prod(*side).reshape(-1, len(side))
    assert min(float(valley.loss(phi)) for phi in grid) >= losses[0] - 1e-12


def test_wells_are_the_roots_of_the_derivative() -> None:
    for tilt in (0.3, -0.7, 0.0, 1.4):
        roots = np.sort(np.roots([4, 0, -4, tilt]).real)
        np.testing.assert_allclose(np.sort(two_wells(tilt).minima[:, 0]), roots[[0, 2]], atol=1e-9)
    with pytest.raises(ValueError, match=r"tilt=1.6 must be between -1.5 and 1.5"):
        two_wells(1.6)


@pytest.mark.parametrize("phi", [(0.3, -1.2), (1.0, 1.0), (-1.5, 2.0)])
def test_the_banana_is_scipys_rosenbrock(phi: tuple[float, float]) -> None:
    assert float(banana().loss(torch.tensor(phi, dtype=torch.float64))) == pytest.approx(rosen(phi), rel=1e-12)


def test_a_start_on_the_ridge_of_the_saddle_never_leaves_it() -> None:
    phi = torch.tensor([1.0, 0.0], dtype=torch.float64)
    for _ in range(500):
        phi = gd(phi, saddle().gradient(phi), 0.1)
    assert float(phi.norm()) < 1e-12


@pytest.mark.parametrize(
    "step",
    [
        lambda phi, g: gd(phi, g, 0.1),
        lambda phi, g: Momentum().step(phi, g, 0.1, 0.9),
        lambda phi, g: Momentum().nesterov(phi, g, 0.1, 0.9),
        lambda phi, g: Adam().step(phi, g, 0.1),
    ],
    ids=["gd", "momentum", "nesterov", "adam"],
)
def test_a_gradient_of_another_shape_is_refused(step: Callable[[Tensor, Tensor], Any]) -> None:
    with pytest.raises(ValueError, match=r"phi has shape \(3, 1\) but gradient has shape \(3,\)"):
        step(torch.zeros(3, 1), torch.zeros(3))


@pytest.mark.parametrize(
    ("step", "name"),
    [
        (lambda phi: Momentum(torch.ones(3, 1)).step(phi, phi, 0.1, 0.9), "m"),
        (lambda phi: Momentum(torch.ones(3, 1)).nesterov(phi, phi, 0.1, 0.9), "m"),
        (lambda phi: Adam(torch.ones(1), torch.ones(3), 1).step(phi, phi, 0.1), "m"),
        (lambda phi: Adam(torch.ones(3), torch.ones(3, 1), 1).step(phi, phi, 0.1), "v"),
    ],
)
def test_a_state_of_another_shape_is_refused(step: Callable[[Tensor], Any], name: str) -> None:
    with pytest.raises(ValueError, match=rf"phi has shape \(3,\) but {name} has shape \("):
        step(torch.zeros(3))


@pytest.mark.parametrize("method", ["step", "nesterov"])
def test_a_state_does_not_share_memory_with_the_gradient(method: str) -> None:
    """A caller may reuse one buffer for its gradients, as torch does; still φ₂ = φ₁ − α (β 2 + 1)."""
    phi, g = torch.zeros(3), torch.full((3,), 2.0)
    _, state = getattr(Momentum(), method)(phi, g, 0.1, 0.9)
    g.fill_(1.0)
    assert state.m is not None
    assert state.m.tolist() == [2.0] * 3
    moved, _ = state.step(phi, g, 0.1, 0.9)
    torch.testing.assert_close(moved, torch.full((3,), -0.1 * (0.9 * 2 + 1)))


@pytest.mark.parametrize("tilt", [1.5, -1.5, -1.6, math.nan])
def test_a_tilt_that_leaves_one_well_is_refused_on_both_sides(tilt: float) -> None:
    with pytest.raises(ValueError, match=f"tilt={tilt} must be between -1.5 and 1.5"):
        two_wells(tilt)


@pytest.mark.parametrize("valley", [bowl(), two_wells(), two_wells(-0.7), banana(), saddle()], ids=range(5))
def test_the_list_of_minima_is_complete(valley: Valley) -> None:
    """SciPy's BFGS, started on an even grid (no start on a ridge), ends at each of the minima and nowhere else."""
    sides = [np.linspace(low + 0.1, high, 6) for low, high in valley.box.tolist()]
    starts = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, len(sides))

    def loss(phi: np.ndarray) -> tuple[float, np.ndarray]:
        at = torch.from_numpy(phi)
        return float(valley.loss(at)), valley.gradient(at).numpy()

    ends = np.stack([minimize(loss, start, jac=True, options={"gtol": 1e-9}).x for start in starts])
    nearest = np.abs(ends[:, None] - valley.minima.numpy()).max(axis=2)
    assert nearest.min(axis=1).max() < 1e-5
    assert set(nearest.argmin(axis=1)) == set(range(len(valley.minima)))
