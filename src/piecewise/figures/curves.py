"""Learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from piecewise.figures.style import BLUE, ORANGE, RED, style


def learning_curves(history: Mapping[str, Sequence[tuple[int, float]]], selected_step: int) -> Figure:
    """`train/nll` and `val/nll` (in nats) over optimizer steps, with the step whose weights were kept marked."""
    with style():
        figure = Figure()
        axes = figure.add_subplot()
        for key, colour in (("train/nll", BLUE), ("val/nll", ORANGE)):
            if history.get(key):
                steps, values = zip(*history[key], strict=True)
                axes.plot(steps, values, color=colour, label=key, linewidth=1.4)
        axes.axvline(selected_step, color=RED, linestyle=":", label=f"kept: step {selected_step:,}")
        axes.set(xlabel="optimizer step", ylabel="negative log-likelihood (nats)", title="Learning curves")
        axes.legend()
        return figure
