"""The least negative log-likelihood that a loss can reach on data whose distribution is known."""

import math

from piecewise.data.synthetic import Synthetic
from piecewise.losses.likelihood import NegativeLogLikelihood


def nll_floor(source: Synthetic, loss: NegativeLogLikelihood) -> float | None:
    """The mean over x of the least E[−log Pr(y | x)], in nats; None if it is not known or not finite.

    A loss that can equal the true distribution reaches its entropy. Others cannot: a normal distribution of fixed width
    pays for the difference of the widths.
    """
    x, weights = source.quadrature()
    least = loss.floor(source.given(x), source.entropy(x))
    if least is None:
        return None
    floor = float((weights * least).sum())
    return floor if math.isfinite(floor) else None
