"""An ensemble (UDL 9.3.2) against its members."""

from __future__ import annotations

import pytest
import torch

from piecewise.losses.squared_error import SquaredError
from piecewise.models.ensemble import Ensemble
from piecewise.models.linear import Linear
from piecewise.models.shallow import Shallow


def test_an_ensemble_of_lines_is_the_line_of_mean_coefficients() -> None:
    lines = [Linear(3, 2).double() for _ in range(4)]
    mean = Linear(3, 2).double()
    for name, coefficients in mean.named_parameters():
        members = [dict(line.named_parameters())[name] for line in lines]
        coefficients.data = torch.stack(members).mean(dim=0)
    x = torch.randn(7, 3, dtype=torch.float64)
    torch.testing.assert_close(Ensemble(lines)(x), mean(x), rtol=1e-12, atol=1e-12)


def test_the_error_is_the_members_mean_error_minus_their_spread() -> None:
    """The decomposition of Krogh and Vedelsby (1995), example by example."""
    members = [Shallow(2, 1, width=9).double() for _ in range(5)]
    x, y = torch.randn(20, 2, dtype=torch.float64), torch.randn(20, 1, dtype=torch.float64)
    together, alone = Ensemble(members)(x), [member(x) for member in members]
    errors = torch.stack([SquaredError().scores(outputs, y) for outputs in alone]).mean(dim=0)
    spread = torch.stack([(outputs - together).square().squeeze(1) for outputs in alone]).mean(dim=0)
    torch.testing.assert_close(SquaredError().scores(together, y), errors - spread, rtol=1e-12, atol=1e-12)


def test_the_order_of_members_and_duplicates_do_not_matter() -> None:
    members = [Shallow(1, 3, width=4).double() for _ in range(3)]
    x = torch.randn(5, 1, dtype=torch.float64)
    for same in (members[::-1], members * 2):
        torch.testing.assert_close(Ensemble(same)(x), Ensemble(members)(x), rtol=1e-12, atol=1e-12)


def test_an_empty_ensemble_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one member"):
        Ensemble([])
