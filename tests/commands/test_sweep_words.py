"""retry=1 and fresh=1 are read before Hydra's words."""

from __future__ import annotations

import pytest

from many_runs import write_journal
from piecewise.cli import main
from piecewise.commands.sweep_words import read_sweep_words
from piecewise.errors import BadInput
from piecewise.project import Project


def test_the_words_are_taken_out_and_the_others_stay_in_order() -> None:
    asked = read_sweep_words(["-m", "retry=1", "seed=0,1", "model.retry=1"])
    assert (asked.words, asked.retry, asked.fresh) == (["-m", "seed=0,1", "model.retry=1"], True, False)
    assert not read_sweep_words(["retry=0", "fresh=false"]).retry


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["retry=2"], "retry=2 is not allowed; allowed: retry=1, which runs the failed jobs of a sweep again"),
        (["fresh=yes"], "fresh=yes is not allowed; allowed: fresh=1"),
        (["fresh=1", "retry=1"], "do not go together"),
    ],
)
def test_other_values_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read_sweep_words(words)


@pytest.mark.parametrize("word", ["retry=1", "fresh=true"])
def test_a_single_job_has_no_use_for_them(word: str) -> None:
    asked = read_sweep_words([word])
    with pytest.raises(BadInput, match=rf"{word[:5]}=1 needs a sweep: -m with several jobs"):
        asked.refuse_without_sweep()


def test_a_single_run_that_goes_on_has_no_use_for_them(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    write_journal(project.runs / "20260101-100000-abc-fit", "20260101-100000-abc", 1.0)
    assert main(["resume", "last", "retry=1"]) == 2
    assert (
        "retry=1 needs a sweep: 20260101-100000-abc (fit 20260101-100000-abc) is a single run"
        in capsys.readouterr().err
    )


def test_a_sweep_that_goes_on_cannot_begin_anew() -> None:
    with pytest.raises(BadInput, match="fresh=1 trains all jobs anew, and resume goes on"):
        read_sweep_words(["fresh=1"]).refuse_fresh()
