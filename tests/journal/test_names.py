"""Which names of experiments are valid, and what is named after them."""

from __future__ import annotations

import pytest

from piecewise.errors import BadInput
from piecewise.journal.names import check_name, folder_name, is_valid, train_stage


@pytest.mark.parametrize(
    ("name", "folder"),
    [("fit", "fit"), ("chapter/fit", "chapter--fit"), ("a-b/c_d/E", "a-b--c_d--E"), ("08_x/1d", "08_x--1d")],
)
def test_a_folder_and_a_stage_are_named_after_an_experiment(name: str, folder: str) -> None:
    assert is_valid(name)
    assert folder_name(name) == folder == folder_name(folder)
    assert train_stage(name) == f"train@{folder}"


@pytest.mark.parametrize(
    "name",
    [
        *["", "a b", "a.b", "a=b", "a,b", "a:b", "a@b", "é", "~a", "$a", "a\n", "a'b", "a--b", "-a", "a-", "x" * 101],
        *["a/", "/a", "a//b", "../a", "./a"],
        *["7", "1.5", "1_000", "08", "1e5", "nan", "inf", "true", "False", "NULL", "_self_"],
    ],
)
def test_any_other_name_is_refused_with_what_is_allowed(name: str) -> None:
    with pytest.raises(BadInput, match=r"experiment: .* cannot name a run; allowed: letters a to z, digits") as refused:
        check_name(name, "experiment")
    assert "\n" not in str(refused.value)
