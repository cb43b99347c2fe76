from __future__ import annotations

import numpy as np
import pytest

from piecewise.figures.classes import confusion_matrix, hardest_digits
from piecewise.figures.style import to_svg

COUNTS = np.array([[970, 0, 5], [10, 1000, 0], [0, 1, 14]])
IMAGES = np.linspace(0, 1, 7 * 4).reshape(7, 2, 2)
TRUE, PREDICTED, CONFIDENCE = np.arange(7), np.arange(7) + 1, np.linspace(0.999, 0.5, 7)


def test_every_count_stands_at_its_true_and_predicted_class() -> None:
    (axes,) = confusion_matrix(COUNTS).axes
    texts = {(text.get_position()[1], text.get_position()[0]): int(text.get_text()) for text in axes.texts}
    assert texts == {(r, c): COUNTS[r, c] for r in range(3) for c in range(3) if COUNTS[r, c]}
    colours = axes.images[0].get_array()
    np.testing.assert_array_equal(colours, [[0, 0, 5], [10, 0, 0], [0, 1, 0]])


def test_the_title_of_the_confusion_matrix_is_its_finding() -> None:
    figure = confusion_matrix(COUNTS)
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert figure.get_suptitle().startswith("1,984 of 2,000 right (99.20 %); most often ")
    assert to_svg(figure) == to_svg(confusion_matrix(COUNTS))


def test_a_perfect_classifier_can_be_drawn() -> None:
    figure = confusion_matrix(np.diag([3, 4]))
    assert figure.get_suptitle() == "7 of 7 right (100.00 %)"
    assert len(figure.axes[0].texts) == 2


def test_a_table_that_is_not_square_is_refused() -> None:
    with pytest.raises(ValueError, match="could not be broadcast"):
        confusion_matrix(np.ones((2, 3), dtype=int))


def test_each_image_carries_its_classes_and_confidence() -> None:
    figure = hardest_digits(IMAGES, TRUE, PREDICTED, CONFIDENCE)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[0] == "0 taken for 1\n99.9 %"
    assert titles[6] == "6 taken for 7\n50.0 %"
    assert figure.get_suptitle() == "The 7 digits that are most confidently wrong"
    for axes, image in zip(figure.axes, IMAGES, strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), image)
    again = hardest_digits(IMAGES, TRUE, PREDICTED, CONFIDENCE)
    assert to_svg(figure) == to_svg(again)


def test_without_mistakes_the_title_says_that_no_digit_is_wrong() -> None:
    figure = hardest_digits(IMAGES[:0], TRUE[:0], PREDICTED[:0], CONFIDENCE[:0])
    assert (figure.get_suptitle(), figure.axes) == ("No digit is wrong", [])
    assert to_svg(figure).startswith(b"<?xml")
