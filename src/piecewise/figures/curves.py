"""The figure of training and validation loss over the steps."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from piecewise.figures.style import BLUE, ORANGE, RED, conclude, style

MAX_LINEAR_RATIO = 30  # of the largest to the smallest loss; above this ratio the y axis is logarithmic

History = Mapping[str, Sequence[tuple[int, float]]]  # (step, value) pairs by metric


def learning_curves(history: History, selected_step: int) -> Figure:
    """`train/nll` and `val/nll` (in nats) over optimizer steps, with a line at the step whose weights are kept."""
    with style():
        figure = Figure()
        axes = figure.add_subplot()
        for key, label, colour in (("train/nll", "training", BLUE), ("val/nll", "validation", ORANGE)):
            if history.get(key):
                steps, values = zip(*history[key], strict=True)
                axes.plot(steps, values, color=colour, label=label)
        axes.axvline(selected_step, color=RED, linestyle=":", label=f"kept: step {selected_step:,}")
        seen = [value for key in ("train/nll", "val/nll") for _, value in history.get(key, ())]
        if seen and min(seen) > 0 and max(seen) > MAX_LINEAR_RATIO * min(seen):
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set(xlabel="optimizer step", ylabel="negative log-likelihood (nats)")
        axes.legend()
        return conclude(figure, _finding(history.get("val/nll", ()), selected_step), axes)


def _finding(validation: Sequence[tuple[int, float]], selected_step: int) -> str:
    kept = dict(validation).get(selected_step)
    if kept is None:
        return f"The weights after step {selected_step:,} are kept"
    first, last = min(validation, key=lambda pair: pair[1]), validation[-1]
    if first[0] == selected_step and last[0] != selected_step:
        return f"Validation loss is lowest at step {selected_step:,} of {last[0]:,}: {kept:.3g} nats"
    return f"After {selected_step:,} steps the validation loss is {kept:.3g} nats"
