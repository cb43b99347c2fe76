from __future__ import annotations

import pytest

from piecewise.figures.curves import learning_curves
from piecewise.figures.style import to_svg

HISTORY = {"train/nll": [(1, 3.0), (2, 2.0), (4, 1.0)], "val/nll": [(2, 2.5), (4, 2.7)], "lr": [(1, 0.1)]}


def test_both_curves_and_the_kept_step_are_drawn() -> None:
    (axes,) = learning_curves(HISTORY, selected_step=2000).axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert lines["training"] == [[1, 3], [2, 2], [4, 1]]
    assert lines["validation"] == [[2, 2.5], [4, 2.7]]
    assert [x for x, _ in lines["kept: step 2,000"]] == [2000, 2000]
    assert len(lines) == 3
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("optimizer step", "negative log-likelihood (nats)")


@pytest.mark.parametrize(
    ("validation", "selected", "finding"),
    [
        ([(2, 2.5), (4, 2.7)], 2, "Validation loss is lowest at step 2 of 4: 2.5 nats"),
        ([(2, 2.5), (4, 1.5)], 4, "After 4 steps the validation loss is 1.5 nats"),
        ([(2, 2.5), (4, 2.7)], 4, "After 4 steps the validation loss is 2.7 nats"),
        ([], 4, "The weights after step 4 are kept"),
    ],
)
def test_the_title_says_which_weights_were_kept(
    validation: list[tuple[int, float]], selected: int, finding: str
) -> None:
    figure = learning_curves(HISTORY | {"val/nll": validation}, selected)
    assert figure.axes[0].get_title(loc="left") == figure.get_label() == finding


@pytest.mark.parametrize(("last", "scale"), [(0.5, "linear"), (0.01, "log"), (-0.5, "linear")])
def test_a_wide_range_gets_a_logarithmic_axis(last: float, scale: str) -> None:
    assert learning_curves({"train/nll": [(1, 3.0), (2, last)]}, 2).axes[0].get_yscale() == scale


@pytest.mark.parametrize("history", [{}, {"train/nll": []}, {"val/nll": [(1, 2.0)]}])
def test_a_metric_that_was_never_measured_is_left_out(history: dict[str, list[tuple[int, float]]]) -> None:
    figure = learning_curves(history, 1)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == [*("validation" for key in history if history[key]), "kept: step 1"]
    assert to_svg(figure) == to_svg(learning_curves(history, 1))


def test_a_history_that_is_no_list_of_pairs_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        learning_curves({"train/nll": [(1, 2.0), (2,)]}, 1)  # type: ignore[list-item]
