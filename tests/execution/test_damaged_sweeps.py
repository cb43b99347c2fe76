"""Files of a finished sweep that were cut, changed or deleted: what can be made again is, the rest is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from piecewise.cli import main
from piecewise.execution.executors.contract import FINISHED
from piecewise.execution.job_folders import JOBS
from piecewise.execution.ledger import LEDGER
from piecewise.execution.sweep import Sweep
from piecewise.jobs.job import Job
from piecewise.jobs.overrides import shell_command
from piecewise.jobs.run_key import run_keys
from piecewise.journal.reader import read_start
from piecewise.manifest import JOURNAL
from piecewise.project import Project
from small_project import TINY
from swept import Swept, sweeps

COMMAND = ["train", "-m", *TINY, "executor=inline", "tracking=none", "optimizer.lr=0.1,0.01"]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def sweep(project: Project, capsys: Capture) -> Swept:
    """A finished sweep of two jobs."""
    assert main(COMMAND) == 0
    capsys.readouterr()
    return Swept(*sweeps(project))


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_ledger_is_told_and_its_runs_are_taken_over(
    project: Project, sweep: Swept, capsys: Capture, damage: str
) -> None:
    path, table = sweep.root / LEDGER, sweep.table
    lines = lines_of(path)
    content = {"cut": b"".join(lines[:2]), "flipped": b"".join(lines).replace(b"planned", b"plonned", 1), "empty": b""}
    path.write_bytes(content[damage])
    files = sweep.files(0)
    for verb in ("watch", "draw", "resume"):
        assert main([verb, sweep.root.name]) == 2
        error = capsys.readouterr().err
        assert LEDGER in error
        assert "takes over the finished runs" in error
    assert main(["verify"]) == 1
    assert f"{LEDGER} was altered" in capsys.readouterr().out
    assert main(COMMAND) == 0
    assert "2 of 2 jobs are done already" in capsys.readouterr().out
    (new,) = (Swept(root) for root in sweeps(project) if root != sweep.root)
    assert (new.table, sweep.files(0)) == (table, files)


def test_a_deleted_ledger_is_made_again(project: Project, sweep: Swept, capsys: Capture) -> None:
    (sweep.root / LEDGER).unlink()
    assert main(["watch", sweep.root.name]) == 2
    assert f"{LEDGER} is missing; piecewise resume" in capsys.readouterr().err
    assert main(["resume", sweep.root.name]) == 0
    assert main(COMMAND) == 0
    said = capsys.readouterr().out
    assert said.count("nothing is left to train") == said.count("\nbest ") == 2
    assert sweeps(project) == [sweep.root]
    assert [entry.state for entry in sweep.entries] == [FINISHED, FINISHED]
    assert main(["verify"]) == 0


def test_ends_that_a_ledger_has_lost_are_written_again(project: Project, sweep: Swept, capsys: Capture) -> None:
    path = sweep.root / LEDGER
    path.write_bytes(b"".join(lines_of(path)[:-1]))
    assert main(COMMAND) == 0
    assert "\nbest " in capsys.readouterr().out
    assert [entry.state for entry in sweep.entries] == [FINISHED, FINISHED]
    assert main(["verify"]) == 0


def test_a_deleted_table_is_written_again(sweep: Swept, capsys: Capture) -> None:
    table, files = sweep.table, sweep.files(1)
    (sweep.root / "results.csv").unlink()
    assert main(COMMAND) == 0
    assert "/results.csv" in capsys.readouterr().out
    assert (sweep.table, sweep.files(1)) == (table, files)


@pytest.mark.parametrize("content", [None, '{"jobs": [{"na'])
def test_the_command_knows_the_jobs_of_a_damaged_list(sweep: Swept, capsys: Capture, content: str | None) -> None:
    path = sweep.root / JOBS
    path.unlink()
    if content is not None:
        path.write_text(content)
    for verb in ("draw", "resume"):
        assert main([verb, sweep.root.name]) == 2
        error = capsys.readouterr().err
        assert str(path.name) in error
        assert "the same piecewise train command goes on" in error
    assert main(COMMAND) == 0
    assert "nothing is left to train" in capsys.readouterr().out


def test_a_sweep_without_its_journal_is_told(sweep: Swept, capsys: Capture) -> None:
    (sweep.root / JOURNAL).unlink()
    assert main(["resume", sweep.root.name]) == 2
    assert "has no journal that can be read" in capsys.readouterr().err
    assert main(COMMAND) == 0


def test_a_sweep_killed_before_its_journal_has_its_own_id_and_command(
    plan: Callable[..., list[Job]], project: Project
) -> None:
    words = COMMAND[1:]
    jobs = plan(*words)
    began = Sweep.new(jobs, run_keys(jobs), words)
    assert main(COMMAND) == 0
    start = read_start(began.folders.parent.journal)
    assert start is not None
    assert (start.id, start.tags["command"]) == (began.id, shell_command(words))
    assert [Swept(began.folders.root).start(number).parent for number in range(2)] == [began.id] * 2
