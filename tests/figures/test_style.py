from __future__ import annotations

import io

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from piecewise.figures.style import style, to_svg


def drawing() -> Figure:
    with style():
        figure = Figure()
        axes = figure.add_subplot()
        axes.plot([0, 1, 2], [1, 0, 2], "o", label="a")
        axes.set(xlabel="x", ylabel="y", title="Test")
        axes.legend()
        return figure


def test_a_figure_has_the_same_bytes_every_time() -> None:
    figure = drawing()
    first = to_svg(figure)
    assert first == to_svg(figure) == to_svg(drawing())
    assert first.startswith(b"<?xml")
    assert b"</svg>" in first


def test_a_figure_holds_no_date() -> None:
    plain = io.BytesIO()
    drawing().savefig(plain, format="svg")
    assert b"<dc:date>" in plain.getvalue(), "by default Matplotlib writes a date"
    assert b"date>" not in to_svg(drawing())


def test_the_style_ends_with_its_block() -> None:
    before = dict(mpl.rcParams)
    with style():
        assert mpl.rcParams["axes.spines.top"] is False
    assert dict(mpl.rcParams) == before


def test_the_style_ends_with_an_error_too() -> None:
    before = dict(mpl.rcParams)
    with pytest.raises(RuntimeError, match="boom"), style():
        raise RuntimeError("boom")
    assert dict(mpl.rcParams) == before
