"""One step of each optimizer as a pure function (UDL 6.1 to 6.4), in the order of operations of `torch.optim`, so
that both agree to the last bit. φ, its gradient g and the state that a step passes to the next have one
shape, or ValueError is raised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from piecewise.shapes import check_same_shape


def _check(phi: Tensor, **others: Tensor | None) -> None:
    for name, other in others.items():
        if other is not None:
            check_same_shape("phi", phi, name, other)


def gd(phi: Tensor, gradient: Tensor, lr: float) -> Tensor:
    """φ ← φ − α g  (UDL eq. 6.3); with a batch's gradient it is stochastic gradient descent (eq. 6.10)."""
    _check(phi, gradient=gradient)
    return phi.add(gradient, alpha=-lr)


@dataclass(frozen=True)
class Momentum:
    """m, None before the first step."""

    m: Tensor | None = None

    def step(self, phi: Tensor, gradient: Tensor, lr: float, beta: float) -> tuple[Tensor, Momentum]:
        """m ← β m + g,   φ ← φ − α m: UDL eq. 6.11, with its factor (1 − β) moved into the step size."""
        m = self._moved(phi, gradient, beta)
        return phi.add(m, alpha=-lr), Momentum(m)

    def nesterov(self, phi: Tensor, gradient: Tensor, lr: float, beta: float) -> tuple[Tensor, Momentum]:
        """m ← β m + g,   φ ← φ − α (g + β m): a look ahead along the expected next step (UDL eq. 6.12)."""
        m = self._moved(phi, gradient, beta)
        return phi.add(gradient.add(m, alpha=beta), alpha=-lr), Momentum(m)

    def _moved(self, phi: Tensor, gradient: Tensor, beta: float) -> Tensor:
        _check(phi, gradient=gradient, m=self.m)
        return gradient.clone() if self.m is None else self.m.mul(beta).add(gradient)


@dataclass(frozen=True)
class Adam:
    """m and v, moving averages of g and g²; None before the first step. `t` steps were taken."""

    m: Tensor | None = None
    v: Tensor | None = None
    t: int = 0

    def step(
        self, phi: Tensor, gradient: Tensor, lr: float, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> tuple[Tensor, Adam]:
        """m ← β m + (1 − β) g,   v ← γ v + (1 − γ) g²,   φ ← φ − α m̃ / (√ṽ + ε), m̃ = m / (1 − βᵗ), ṽ = v / (1 − γᵗ)
        (UDL eq. 6.15 to 6.17)."""
        _check(phi, gradient=gradient, m=self.m, v=self.v)
        beta, gamma = betas
        zeros = torch.zeros_like(phi)
        m = (zeros if self.m is None else self.m).lerp(gradient, 1 - beta)
        v = (zeros if self.v is None else self.v).mul(gamma).addcmul(gradient, gradient, value=1 - gamma)
        t = self.t + 1
        denominator = (v.sqrt() / (1 - gamma**t) ** 0.5).add(eps)
        return phi.addcdiv(m, denominator, value=-lr / (1 - beta**t)), Adam(m, v, t)


def line_search(
    loss: Callable[[float], float], low: float, high: float, tolerance: float = 1e-6
) -> list[tuple[float, float]]:
    """Brackets (a, d) around a minimum of `loss`, each two thirds of the last, until one is at most `tolerance`.

    Of the points b at one third and c at two thirds, the bracket keeps the lower (UDL figure 6.10): a single minimum
    between low and high is never lost. Raises ValueError unless low < high and tolerance > 0.
    """
    if not low < high or not tolerance > 0:
        raise ValueError(f"low={low} must be less than high={high}, and tolerance={tolerance} positive")
    brackets = [(low, high)]
    while high - low > tolerance:
        b, c = low + (high - low) / 3, high - (high - low) / 3
        before = low, high
        low, high = (low, c) if loss(b) <= loss(c) else (b, high)
        if (low, high) == before:  # no number lies between
            break
        brackets.append((low, high))
    return brackets
