"""Keys and values of overrides, and the names of folders that are made of them."""

from __future__ import annotations

import pytest

from piecewise.jobs.job import Job
from piecewise.jobs.overrides import folder_of, key_of, names_sweep_option, shell_command, values_of


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("seed=3", "seed", "3"),
        ("+trainer.max_steps=100", "trainer.max_steps", "100"),
        ("++trainer.max_steps=100", "trainer.max_steps", "100"),
        ("~scheduler", "scheduler", ""),
        ("~scheduler=null", "scheduler", "null"),
        ("data.path='a=b,c=d'", "data.path", "'a=b,c=d'"),
        ("data.path=", "data.path", ""),
        ("+db@source=x", "db@source", "x"),
    ],
)
def test_a_key_is_the_same_in_every_notation(override: str, key: str, value: str) -> None:
    assert key_of(override) == key
    assert values_of([override]) == {key: value}


def test_the_last_of_two_values_counts() -> None:
    assert values_of(["seed=1", "model=mlp", "++seed=2"]) == {"seed": "2", "model": "mlp"}


def test_a_label_leaves_out_experiment_and_tracking_in_every_notation() -> None:
    given = ("experiment=x", "+tracking.uri=a", "~tracking", "tracking=none", "+experiment=y", "seed=0", "~scheduler")
    job = Job("x", given, {})
    assert (job.label, job.title) == ("seed=0,~scheduler", "x seed=0,~scheduler")
    assert job.values == {"seed": "0", "scheduler": ""}
    assert job.label_without("seed") == "~scheduler"


def test_usual_labels_are_the_names_of_their_folders() -> None:
    assert folder_of([]) == folder_of(["experiment=x"]) == "run"
    assert folder_of(["experiment=x", "model.width=3", "seed=0"]) == "model.width=3,seed=0"
    assert folder_of(["optimizer.lr=1e-3", "+trainer.max_steps=9"]) == "optimizer.lr=1e-3,+trainer.max_steps=9"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["data.path=a/b"], ["data.path=a_b"]),
        (["data.target=A"], ["data.target=a"]),
        (["data.target=é"], ["data.target=e\u0301"]),
        (["a='1,b=2'"], ["a=1", "b=2"]),
        (["a=1,b=2"], ["a=1", "b=2"]),
        (["a=[1,2]"], ["a=(1,2)"]),
        (["tracking=none"], []),
        (["~scheduler"], ["scheduler"]),
        ([".."], []),
        (["a=" + 300 * "x"], ["a=" + 300 * "x" + "y"]),
        (["a=\\ "], ["a= "]),
    ],
)
def test_two_lists_of_overrides_never_share_a_folder(one: list[str], other: list[str]) -> None:
    assert folder_of(one).lower() != folder_of(other).lower()


def test_only_a_sweep_needs_to_know_how_its_jobs_run() -> None:
    words = ["executor=pool", "executor.slots=2", "+executor.timeout=9", "on_error=stop", "on_errors=1", "seed=1"]
    assert [word for word in words if not names_sweep_option(word)] == ["on_errors=1", "seed=1"]


def test_a_command_is_quoted_for_the_shell() -> None:
    quoted = """'a='"'"'x y'"'"''"""
    assert shell_command(["seed=0", "~scheduler", "a='x y'"]) == f"piecewise train seed=0 '~scheduler' {quoted}"
