"""Losses given by formulas with known minima, for watching an optimizer."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Valley:
    """`loss`: (P,) → (); `minima`: (M, P) its local minima, the lowest first; `box`: (P, 2) around them."""

    loss: Callable[[Tensor], Tensor]
    minima: Tensor
    box: Tensor

    def gradient(self, phi: Tensor) -> Tensor:
        """(P,) → (P,)."""
        gradient: Tensor = torch.func.grad(self.loss)(phi)
        return gradient


def bowl(curvatures: tuple[float, ...] = (1.0, 30.0)) -> Valley:
    """½ Σ λ_i φ_i²: with unequal curvatures, a long narrow valley, where a step size that is stable across the valley
    is slow along it."""
    scale = torch.tensor(curvatures, dtype=torch.float64)
    count = len(curvatures)
    box = torch.tensor([[-2.0, 2.0]], dtype=torch.float64).expand(count, -1)
    return Valley(lambda phi: 0.5 * (scale * phi.square()).sum(), torch.zeros(1, count, dtype=torch.float64), box)


def two_wells(tilt: float = 0.3) -> Valley:
    """(φ² − 1)² + tilt φ in one dimension: two minima, the left one lower, and a maximum between. |tilt| < 1.5."""
    if not abs(tilt) < 1.5:
        raise ValueError(f"tilt={tilt} must be between -1.5 and 1.5, or there is one well only")
    # The roots of 4φ³ − 4φ + tilt, by the cosine formula for three real ones.
    angle = torch.arccos(torch.tensor(-tilt * 27**0.5 / 8, dtype=torch.float64)) / 3
    turns = 2 * torch.pi * torch.arange(3, dtype=torch.float64) / 3
    left, _, right = (2 / 3**0.5 * torch.cos(angle - turns)).sort().values
    order = torch.stack([left, right] if tilt >= 0 else [right, left]).unsqueeze(1)
    box = torch.tensor([[-1.6, 1.6]], dtype=torch.float64)
    return Valley(lambda phi: ((phi.square() - 1).square() + tilt * phi).sum(), order, box)


def banana(steepness: float = 100.0) -> Valley:
    """(1 − φ₀)² + steepness (φ₁ − φ₀²)² (Rosenbrock, 1960): a curved valley with its one minimum at (1, 1)."""
    box = torch.tensor([[-2.0, 2.0], [-1.0, 3.0]], dtype=torch.float64)
    return Valley(
        lambda phi: (1 - phi[0]).square() + steepness * (phi[1] - phi[0].square()).square(),
        torch.ones(1, 2, dtype=torch.float64),
        box,
    )


def saddle() -> Valley:
    """½ φ₀² + ¼ φ₁⁴ − ½ φ₁²: minima at (0, ±1), and a saddle at the origin, which descent from φ₁ = 0 never leaves."""
    minima = torch.tensor([[0.0, 1.0], [0.0, -1.0]], dtype=torch.float64)
    box = torch.tensor([[-2.0, 2.0], [-2.0, 2.0]], dtype=torch.float64)
    return Valley(lambda phi: 0.5 * phi[0].square() + 0.25 * phi[1] ** 4 - 0.5 * phi[1].square(), minima, box)
