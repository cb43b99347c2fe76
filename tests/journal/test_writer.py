from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from piecewise.durable import open_records, read_records
from piecewise.errors import TryAgain
from piecewise.journal import writer
from piecewise.journal.writer import Journal, Unwritable
from piecewise.locks import has_writer


def test_records_are_kept_in_order_with_their_time(tmp_path: Path) -> None:
    before = time.time()
    with Journal(tmp_path / "new" / "journal.jsonl") as journal:
        journal.start(id="a", name="line")
        journal.metrics(10, {"val/nll": 0.5})
        journal.end("FINISHED", steps=10)
    records = list(read_records(journal.path))
    times = [record.pop("time") for record in records]
    assert records == [
        {"kind": "start", "id": "a", "name": "line"},
        {"kind": "metrics", "step": 10, "values": {"val/nll": 0.5}},
        {"kind": "end", "status": "FINISHED", "steps": 10},
    ]
    moments = [before, *times, time.time()]
    assert moments == sorted(moments)


def test_there_is_one_writer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    assert not has_writer(path)
    with Journal(path) as journal:
        journal.start(id="a", name="line")
        with pytest.raises(TryAgain, match=r"journal\.jsonl is being written"):
            Journal(path)
        journal.end("FINISHED")
        assert has_writer(path)
    assert not has_writer(path)
    assert [record["kind"] for record in read_records(path)] == ["start", "end"]


def test_a_second_writer_appends(tmp_path: Path) -> None:
    for status in ("KILLED", "FINISHED"):
        with Journal(tmp_path / "journal.jsonl") as journal:
            journal.end(status)
    assert [record["status"] for record in read_records(journal.path)] == ["KILLED", "FINISHED"]


def test_a_killed_process_loses_no_record(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    code = (
        "import os, signal, sys; from pathlib import Path; from piecewise.journal.writer import Journal\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "for step in range(3): journal.metrics(step, {})\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -signal.SIGKILL
    assert [record["step"] for record in read_records(path)] == [0, 1, 2]


def test_closed_journal_refuses_records(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.metrics(1, {"train/nll": 1.0})
    with pytest.raises(ValueError, match="closed file"):
        journal.metrics(2, {"train/nll": 1.0})
    assert len(list(read_records(journal.path))) == 1


def test_an_error_in_the_run_passes_through(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.start()
    with pytest.raises(RuntimeError, match="boom"), journal:
        raise RuntimeError("boom")
    assert [record["kind"] for record in read_records(path)] == ["start"]


def test_failed_flush_names_the_journal_and_the_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems report a full disk only at fsync. An error of the run itself is not replaced."""

    def full(*_: object) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    journal = Journal(tmp_path / "journal.jsonl")
    monkeypatch.setattr(os, "fsync", full)
    for ask in (journal.flush, lambda: journal.end("FINISHED"), lambda: journal.__exit__(None, None, None)):
        with pytest.raises(Unwritable, match=r"journal\.jsonl cannot be written: Disk quota exceeded; its records"):
            ask()
    with pytest.raises(RuntimeError, match="boom"), Journal(journal.path):
        raise RuntimeError("boom")
    with open_records(journal.path):  # both journals are closed and hold no lock
        pass


def test_failed_write_names_the_journal_and_leaves_it_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.start(id="a")
        with monkeypatch.context() as patched:
            patched.setattr(writer, "append_record", full)
            with pytest.raises(
                Unwritable, match=r"journal\.jsonl cannot be written: No space left on device; its records"
            ):
                journal.metrics(1, {"train/nll": 1.0})
        journal.end("FAILED")
    assert [record["kind"] for record in read_records(journal.path)] == ["start", "end"]
