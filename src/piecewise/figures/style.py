"""One look for every figure: colour-blind safe (Okabe and Ito), vector output, the same bytes on every run."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#7f7f7f"

_STYLE: dict[str, Any] = {
    "figure.figsize": (6.4, 3.6),
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "svg.hashsalt": "piecewise",  # ids in the SVG come from its content, not from chance
}


@contextmanager
def style() -> Iterator[None]:
    """Draw within it."""
    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        yield


def to_svg(figure: Figure) -> bytes:
    """The figure as SVG without a date, so that the same figure has the same bytes."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
