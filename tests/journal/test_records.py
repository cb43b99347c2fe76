from __future__ import annotations

import zlib
from pathlib import Path

from piecewise.journal.reader import read_end, read_journal, read_start
from piecewise.journal.records import Start
from piecewise.journal.writer import Journal
from piecewise.processes import Process, this_process

OLD_LINES = (  # as the first versions wrote them: without process, digests, run key and resume facts
    '{"kind":"start","time":1.5,"id":"20251128-101500-a1b2c3","name":"curve_1d-shallow","label":"","title":'
    '"curve_1d-shallow","config":{"seed":0},"tags":{"git.commit":"abc"},"inputs":{"training":{"name":"curve_1d",'
    '"digest":"00ff","source":"data/curve_1d","profile":{"num_examples":3}}}}',
    '{"kind":"metrics","time":2.5,"step":1,"values":{"train/nll":3.0}}',
    '{"kind":"resume","time":3.5}',
    '{"kind":"artifact","time":4.5,"path":"model.yaml","folder":"config"}',
    '{"kind":"end","time":5.5,"status":"FINISHED","steps":1}',
)


def write_lines(path: Path, lines: tuple[str, ...]) -> None:
    path.write_text("".join(f"{zlib.crc32(line.encode()):08x} {line}\n" for line in lines))


def test_journal_of_an_old_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    write_lines(path, OLD_LINES)
    record = read_journal(path)
    assert record is not None
    start, end = record.start, record.end
    assert (start.id, start.name, start.time, start.tags) == (
        "20251128-101500-a1b2c3",
        "curve_1d-shallow",
        1.5,
        {"git.commit": "abc"},
    )
    assert (start.inputs["training"].digest, start.config) == ("00ff", {"seed": 0})
    assert (start.digests, start.job_digest, start.parent, start.is_sweep) == ({}, "", None, False)
    assert (record.process, record.resumed[0].changed, record.history()) == (None, [], {"train/nll": [(1, 3.0)]})
    assert end is not None
    assert (end.time, end.status, end.reason, end.selected_step, end.val_nll) == (5.5, "FINISHED", "", 0, None)
    assert end.raw["steps"] == 1
    assert record.finished == 5.5


def test_keys_of_a_newer_version_stay_readable(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.start(id="a", lanes=12)
        journal.end("KILLED", lane=3)
    start, end = read_start(path), read_end(path)
    assert start is not None
    assert end is not None
    assert (start.raw["lanes"], end.raw["lane"]) == (12, 3)


def test_start_of_a_sweep_has_its_number_of_jobs_and_its_process() -> None:
    process = this_process()
    start = Start.parse({"time": 1.0, "id": "a", "num_jobs": 2, "process": process.as_dict()})
    assert (start.is_sweep, start.num_jobs, start.process) == (True, 2, process)
    assert Process.parse({"host": "elsewhere"}).started is None


def test_a_running_journal_has_a_start_and_no_end(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.touch()
    assert (read_start(path), read_end(path)) == (None, None)
    with Journal(path) as journal:
        journal.start(id="a")
        journal.metrics(1, {"train/nll": 3.0})
    start = read_start(path)
    assert start is not None
    assert (start.id, read_end(path)) == ("a", None)
