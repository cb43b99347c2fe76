"""The style of every figure: colour-blind safe (Okabe and Ito), vector output, the same bytes on every run.

The finding of a figure is its title, and also its label, which screen readers read out.
"""

import io
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, PURPLE, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#7f7f7f"
CYCLE = (BLUE, ORANGE, GREEN, RED, PURPLE, "#56B4E9")
# Text and axes, and the background. No other part has these shades: the report replaces them by its own colours.
INK, GROUND = "#1a1a1b", "#fffffe"
WIDTH = 6.4  # inches; on a phone it shrinks to 3.4, and text to 6 points

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
    "svg.hashsalt": "piecewise",  # ids in the SVG depend on its content only
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
}


def style() -> AbstractContextManager[None]:
    """A context that applies the style to everything drawn in it."""
    return mpl.rc_context(_STYLE)  # type: ignore[arg-type]


def conclude(figure: Figure, finding: str, axes: Axes | None = None) -> Figure:
    """Set the figure's finding as the title of `axes`, or of the figure without `axes`."""
    figure.set_label(finding)
    if axes is not None:
        axes.set_title(finding)
    else:
        figure.suptitle(finding, x=0.01, ha="left", fontsize=12)
    return figure


def to_svg(figure: Figure) -> bytes:
    """The figure as SVG, without a date: the same figure has the same bytes."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Title": str(figure.get_label())})
    return buffer.getvalue()
