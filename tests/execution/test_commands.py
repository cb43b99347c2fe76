"""The command in a run's record repeats the run, whatever its overrides need for quoting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from command_lines import typed
from piecewise.cli import main
from piecewise.execution.describe import Facts, as_code
from piecewise.jobs.job import Job
from piecewise.journal.reader import read_journal
from piecewise.project import Project
from small_project import TINY

Plan = Callable[..., list[Job]]
ODD = ["+trainer.max_steps=6", "data.folder='a=1,b; $HOME `x` é'", "~optimizer.betas", "seed=${model.width}"]


@pytest.mark.parametrize(
    "words",
    [
        ["experiment=least_squares", "+trainer.max_steps=3", "tracking=none"],
        [*ODD, "model=mlp", "model.width=[3, 4]", "seed=2"],
        ['data.folder="it\'s"', "early_stopping={patience: 3, min_delta: 0.1}", "~scheduler"],
        ["seed=range(1,3)", "-m", "data.folder='a,b',c\\ d", "++trainer.max_steps=7"],
        ["--multirun", "experiment=least_squares,deep_regression"],
    ],
)
def test_the_command_of_odd_overrides_repeats_their_jobs(plan: Plan, words: list[str]) -> None:
    jobs = plan(*words)
    given = [words, *(list(job.overrides) for job in jobs)]
    pasted = typed("bash", [Facts().tags(jobs[0].name, one)["command"] for one in given])
    assert pasted == given
    again = [job.digest for one in pasted[1:] for job in plan(*one)]
    assert again == [job.digest for job in jobs]
    assert (len(jobs) > 1) == ("-m" in words or "--multirun" in words)


def recorded(path: Path) -> list[str]:
    """The arguments of the command that a journal records, and that its note shows."""
    record = read_journal(path)
    assert record is not None
    command = record.start.tags["command"]
    assert record.start.tags["mlflow.note.content"].endswith(as_code(command))
    return typed("bash", [command])[0]


def test_a_run_records_what_was_given_and_keeps_it_when_it_continues(project: Project) -> None:
    words = ["trainer.max_epochs=1", *TINY[1:], *ODD, "evaluate=false"]
    assert main(["train", *words]) == 0
    (folder,) = (project / "runs").glob("2*")
    assert recorded(folder / "journal.jsonl") == words
    (folder / "training" / "result.json").unlink()
    (folder / "manifest.json").unlink()
    assert main(["resume", "last", "trainer.timeout=60"]) == 0
    assert recorded(folder / "journal.jsonl") == words


def test_a_sweep_records_its_words_and_each_of_its_jobs_a_command_of_its_own(project: Project, plan: Plan) -> None:
    words = [
        "-m",
        "executor=inline",
        "trainer.max_epochs=1",
        *TINY[1:],
        "data.folder='a,b',c",
        "+trainer.max_steps=1",
        "evaluate=false",
    ]
    assert main(["train", *words]) == 0
    (folder,) = (project / "runs").glob("2*")
    assert recorded(folder / "journal.jsonl") == words
    jobs = plan(*words)
    for number, job in enumerate(jobs):
        assert recorded(folder / f"{number:04d}" / "journal.jsonl") == list(job.overrides)
    assert [job.config.data.options["folder"] for job in jobs] == ["a,b", "c"]


@pytest.mark.parametrize(("text", "code"), [("a", "`a`"), ("a `b`", "`` a `b` ``"), ("``", "``` `` ```")])
def test_code_in_a_note_may_hold_backquotes(text: str, code: str) -> None:
    assert as_code(text) == code
