"""Every valid name is read by Hydra as it is typed, and names its own folder."""

from __future__ import annotations

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from generated_names import draw_name
from piecewise.errors import BadInput
from piecewise.journal.names import check_name, folder_name, is_valid, train_stage
from trials import Trials


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


def test_hydra_reads_every_valid_name_and_the_folders_of_two_differ(trials: Trials) -> None:
    names = [draw_name(rng) for rng in trials("names that Hydra reads as typed", 2000)]
    parser = OverridesParser.create()
    for name in filter(is_valid, names):
        assert parser.parse_override(f"experiment={name}").value() == name
        assert folder_name(name).replace("--", "/") == name
