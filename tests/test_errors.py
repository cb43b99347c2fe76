from __future__ import annotations

import pytest

from piecewise.errors import BadInput, NonFiniteLoss, PiecewiseError, nearest


@pytest.mark.parametrize(
    ("name", "allowed", "words"),
    [
        ("widht", ["width", "depth"], "did you mean 'width'? allowed: depth, width"),
        ("zzz", ["width", "depth"], "allowed: depth, width"),
        ("width", [], "allowed: nothing"),
    ],
)
def test_nearest_names_the_closest_option_first(name: str, allowed: list[str], words: str) -> None:
    assert nearest(name, allowed) == words


def test_nearest_accepts_a_generator() -> None:
    assert nearest("dept", (key for key in ("width", "depth"))) == "did you mean 'depth'? allowed: depth, width"


def test_each_kind_of_failure_has_its_exit_code() -> None:
    assert [kind.exit_code for kind in (PiecewiseError, BadInput, NonFiniteLoss)] == [1, 2, 3]


def test_bad_input_is_a_value_error_and_a_piecewise_error() -> None:
    with pytest.raises(ValueError, match="lr=-1") as caught:
        raise BadInput("lr=-1")
    assert isinstance(caught.value, PiecewiseError)
