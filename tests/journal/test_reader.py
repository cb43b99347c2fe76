from __future__ import annotations

from pathlib import Path

import pytest

from piecewise.journal.reader import read_journal
from piecewise.journal.writer import Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def test_history_collects_each_metric_in_order(path: Path) -> None:
    with Journal(path) as journal:
        journal.start(id="a")
        journal.metrics(1, {"train/nll": 3.0})
        journal.metrics(2, {"train/nll": 2.0, "val/nll": 2.5})
        journal.end("FINISHED", steps=2)
    record = read_journal(path)
    assert record is not None
    assert record.start.id == "a"
    assert record.history() == {"train/nll": [(1, 3.0), (2, 2.0)], "val/nll": [(2, 2.5)]}
    assert record.end is not None
    assert (record.end.status, record.end.raw["steps"]) == ("FINISHED", 2)


def test_running_run_has_no_end(path: Path) -> None:
    with Journal(path) as journal:
        journal.start(id="a")
        record = read_journal(path)
    assert record is not None
    assert (record.end, record.metrics, record.history()) == (None, [], {})


def test_an_empty_journal_is_no_run(path: Path) -> None:
    path.touch()
    assert read_journal(path) is None


def test_a_new_start_discards_the_records_before_it(path: Path) -> None:
    with Journal(path) as journal:
        journal.start(id="first")
        journal.metrics(1, {"train/nll": 3.0})
        journal.end("KILLED")
        journal.start(id="second")
    record = read_journal(path)
    assert record is not None
    assert (record.start.id, record.metrics, record.end) == ("second", [], None)


def test_record_before_the_start_is_refused(path: Path) -> None:
    with Journal(path) as journal:
        journal.metrics(1, {"train/nll": 3.0})
    with pytest.raises(ValueError, match=r"journal\.jsonl has a record of kind 'metrics' before its start"):
        read_journal(path)


def test_a_journal_with_a_torn_line_inside_stays_readable(path: Path) -> None:
    """A full disk tears a line; the pipeline then runs the stage again and appends to the same file."""
    with Journal(path) as journal:
        journal.start(id="first")
        journal.metrics(1, {"train/nll": 3.0})
    path.write_bytes(path.read_bytes()[:-5])
    with Journal(path) as journal:
        journal.start(id="second")
    record = read_journal(path)
    assert record is not None
    assert record.start.id == "second"
