"""The range that an axis shows."""

import math

from piecewise.errors import Unavailable

LEAST = 1e-6  # relative to the numbers' size: in a narrower range float32 has fewer than ten different numbers


def span(low: float, high: float) -> tuple[float, float]:
    """The range from `low` to `high`; one that is empty or too narrow to draw is widened on both sides.

    Raises Unavailable unless both are finite.
    """
    if not math.isfinite(high - low):
        raise Unavailable(f"the range from {low:g} to {high:g} is not finite")
    size = max(abs(low), abs(high))
    if high - low > LEAST * size:
        return low, high
    margin = size / 2 or 0.5
    return low - margin, high + margin
