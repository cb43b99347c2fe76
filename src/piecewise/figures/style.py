"""One look for every figure: colour-blind safe (Okabe and Ito), vector output, the same bytes on every run.

The finding of a figure is its title, and its label: what is said to whoever cannot see it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, PURPLE, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#7f7f7f"
CYCLE = (BLUE, ORANGE, GREEN, RED, PURPLE, "#56B4E9")
# Text, axes and ground, in these shades and nothing else: the report exchanges them for its own, dark or light.
INK, GROUND = "#1a1a1b", "#fffffe"
WIDTH = 6.4  # inches; on a phone a figure shrinks to 3.4, and its text to 6 points

_STYLE: dict[str, Any] = {
    "figure.figsize": (WIDTH, 3.6),
    "figure.constrained_layout.use": True,
    "figure.facecolor": GROUND,
    "savefig.facecolor": GROUND,
    "axes.facecolor": "none",
    "axes.prop_cycle": cycler(color=CYCLE),
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 11,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.hashsalt": "piecewise",  # ids in the SVG come from its content, not from chance
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
}


@contextmanager
def style() -> Iterator[None]:
    """Draw within it."""
    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        yield


def conclude(figure: Figure, finding: str, axes: Axes | None = None) -> Figure:
    """Give the figure its finding, as the title of `axes` or, without them, above everything."""
    figure.set_label(finding)
    if axes is not None:
        axes.set_title(finding)
    else:
        figure.suptitle(finding, x=0.01, ha="left", fontsize=12)
    return figure


def to_svg(figure: Figure) -> bytes:
    """The figure as SVG without a date, so that the same figure has the same bytes."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Title": str(figure.get_label())})
    return buffer.getvalue()
