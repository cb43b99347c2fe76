"""An animation of a fit during its training."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from piecewise.figures.ranges import span
from piecewise.figures.style import BLUE, GREY, RED, style

DPI = 100
LAST_FRAME_MILLISECONDS = 2000


@dataclass(frozen=True)
class Frame:
    """The function through (x, y), (P,) each, after `step` steps; its joints, (J,), if it is piecewise linear."""

    step: int
    x: np.ndarray
    y: np.ndarray
    joints: np.ndarray | None = None


def animate(data: tuple[np.ndarray, np.ndarray], frames: Sequence[Frame], y_label: str, milliseconds: int) -> bytes:
    """A GIF with one picture per frame: the function and its joints over the training `data`, (N,) each."""
    with style():
        figure = Figure(dpi=DPI)
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.scatter(*data, s=9, color=GREY, alpha=0.45, linewidths=0)
        (line,) = axes.plot([], [], color=BLUE, linewidth=2.2)
        (dots,) = axes.plot([], [], "o", color=RED, markersize=5)
        low, high = min(data[1].min(), frames[-1].y.min()), max(data[1].max(), frames[-1].y.max())
        low, high = span(float(low), float(high))
        margin = 0.15 * (high - low)
        axes.set(xlabel="x", ylabel=y_label, xlim=(frames[0].x[0], frames[0].x[-1]), ylim=(low - margin, high + margin))
        pictures = []
        for frame in frames:
            line.set_data(frame.x, frame.y)
            joints = np.array([]) if frame.joints is None else frame.joints
            dots.set_data(joints, np.interp(joints, frame.x, frame.y))
            axes.set_title(_title(frame))
            canvas.draw()  # type: ignore[no-untyped-call]
            picture = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
            pictures.append(Image.fromarray(picture[..., :3]).quantize(64))
    buffer = io.BytesIO()
    times = [milliseconds] * (len(pictures) - 1) + [LAST_FRAME_MILLISECONDS]
    pictures[0].save(buffer, "gif", save_all=True, append_images=pictures[1:], duration=times, loop=0)
    return buffer.getvalue()


def _title(frame: Frame) -> str:
    if frame.joints is None:
        return f"step {frame.step:,}"
    count = len(frame.joints)
    return f"step {frame.step:,}: {count + 1} linear region{'s' if count else ''}"
