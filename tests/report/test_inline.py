from __future__ import annotations

import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from piecewise.figures.curves import learning_curves
from piecewise.figures.fit import fitted_function
from piecewise.figures.style import GROUND, INK, to_svg
from piecewise.report.inline import inline


@pytest.fixture
def figure() -> Figure:
    x = np.array([-1.0, 0.0, 1.0])
    return fitted_function((x, x), x, np.abs(x), np.array([0.0]), y_label="<y>")


def test_screen_reader_reads_the_finding(figure: Figure) -> None:
    figure.set_label('a < b & "c"')
    found = inline(to_svg(figure).decode(), "x")
    assert 'role="img" aria-label="a &lt; b &amp; &quot;c&quot;"' in found
    assert "<title>" not in found


def test_every_reference_has_an_id_and_no_two_figures_share_one(figure: Figure) -> None:
    first, second = (inline(to_svg(figure).decode(), name) for name in ("one", "two"))
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (first, second)]
    assert len(ids[0]) > 10
    assert not ids[0] & ids[1]
    for svg, own_ids in zip((first, second), ids, strict=True):
        assert set(re.findall(r'href="#([^"]+)"', svg)) | set(re.findall(r"url\(#([^)]+)\)", svg)) <= own_ids


def test_figure_takes_the_colours_of_the_page(figure: Figure) -> None:
    text = to_svg(figure).decode()
    assert INK in text
    assert GROUND in text
    found = inline(text, "x")
    assert INK not in found
    assert GROUND not in found
    assert "currentColor" in found


def test_figure_shrinks_with_the_page_and_loads_nothing() -> None:
    found = inline(to_svg(learning_curves({"val/nll": [(1, 2.0)]}, 1)).decode(), "x")
    assert re.match(r'<svg role="img" aria-label="[^"]+" viewBox="0 0 460.8 259.2" style="max-width: 460.8pt">', found)
    assert "http" not in found


def test_text_that_is_no_figure_is_refused() -> None:
    with pytest.raises(ValueError, match="substring"):
        inline("no figure", "x")
