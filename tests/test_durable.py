from __future__ import annotations

import errno
import json
import os
import resource
import threading
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piecewise.durable import (
    TAIL_BYTES,
    append_record,
    is_torn,
    last_record,
    open_records,
    put_in_place,
    read_records,
    records_from,
    write_atomic,
    write_json,
)
from piecewise.locks import has_writer

RECORDS = [{"kind": "start", "name": "λ\n"}, {"kind": "metrics", "values": {"train/nll": 0.1}}, {"kind": "end"}]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def lines_of(records: list[dict[str, Any]]) -> bytes:
    file = BytesIO()
    for record in records:
        append_record(file, record)
    return file.getvalue()


def test_write_makes_folders_and_leaves_only_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    write_atomic(path, b"old")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize(("owner", "step"), [(os, "fsync"), (Path, "replace")])
def test_a_failed_write_leaves_the_old_bytes_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, step: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(owner, step, no_space)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_bytes_are_flushed_before_the_rename_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    seen: list[bytes] = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(path.read_bytes()))
    write_atomic(path, b"new")
    assert seen == [b"old", b"new"], "flush the new bytes under a temporary name; flush the folder after the rename"


def test_json_is_sorted_readable_and_ends_with_a_newline(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, {"b": [1, 2.5], "a": "λ"})
    assert path.read_text("utf-8") == '{\n "a": "λ",\n "b": [\n  1,\n  2.5\n ]\n}\n'


def test_value_that_is_not_json_leaves_the_file_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, 1)
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(path, {"path": tmp_path})
    assert json.loads(path.read_bytes()) == 1


def test_a_line_is_checksum_then_space_then_json() -> None:
    text = b'{"kind":"end"}'
    assert lines_of([{"kind": "end"}]) == f"{zlib.crc32(text):08x} ".encode() + text + b"\n"


@settings(max_examples=60, deadline=None, database=None)
@given(records=st.lists(st.dictionaries(st.text(max_size=5), JSON, max_size=3), max_size=3))
def test_records_are_read_as_written(records: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "records"
    path.write_bytes(lines_of(records))
    assert list(read_records(path)) == records
    assert last_record(path) == (records[-1] if records else None)


def test_incomplete_last_line_is_skipped(tmp_path: Path) -> None:
    path, whole = tmp_path / "records", lines_of(RECORDS)
    start = len(lines_of(RECORDS[:2]))
    for cut in range(start, len(whole)):  # a line that lacks only its newline is incomplete, too
        path.write_bytes(whole[:cut])
        assert list(read_records(path)) == RECORDS[:2], f"cut after {cut} bytes"
        assert is_torn(path) is (cut > start)
        assert last_record(path) == RECORDS[1]


def test_last_record_is_none_if_damaged_or_too_long(tmp_path: Path) -> None:
    path = tmp_path / "records"
    path.write_bytes(lines_of(RECORDS)[:-3] + b"x}\n")
    assert last_record(path) is None
    for times in (1, 5):
        long = {"text": "x" * times * TAIL_BYTES}
        path.write_bytes(lines_of([long]))
        assert last_record(path) == long
        path.write_bytes(lines_of([*RECORDS, long]) + b"torn")
        assert last_record(path) == long
    path.write_bytes(lines_of([{"text": "x" * TAIL_BYTES}, {"kind": "end"}]))
    assert last_record(path) == {"kind": "end"}


def test_records_from_continues_at_a_position(tmp_path: Path) -> None:
    path = tmp_path / "records"
    path.write_bytes(lines_of(RECORDS))
    found = list(records_from(path, 0))
    assert [record for record, _ in found] == RECORDS
    for number, (_, position) in enumerate(found, start=1):
        assert list(records_from(path, position)) == found[number:]
    path.write_bytes(lines_of(RECORDS[:2]) + b"00000000 {}\n")
    with pytest.raises(ValueError, match=r"records, line 3: the checksum does not fit"):
        list(records_from(path, found[1][1]))


@pytest.mark.parametrize("room", [0, 1, 20])
def test_full_disk_leaves_no_partial_line(tmp_path: Path, room: int) -> None:
    """A limit on the file size makes a write fail after `room` bytes, as on a full disk."""
    path = tmp_path / "records"
    with open_records(path) as file:
        append_record(file, RECORDS[0])
        size = path.stat().st_size
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, before[1]))
            with pytest.raises(OSError, match="File too large"):
                append_record(file, RECORDS[1])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert path.stat().st_size == size
        append_record(file, RECORDS[2])
    assert list(read_records(path)) == [RECORDS[0], RECORDS[2]]


def test_damage_before_the_last_line_is_refused(tmp_path: Path) -> None:
    path, whole = tmp_path / "records", lines_of(RECORDS)
    for place in range(len(lines_of(RECORDS[:1]))):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"records, line 1: the checksum does not fit"):
            list(read_records(path))


def test_an_empty_line_between_records_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "records"
    path.write_bytes(lines_of(RECORDS[:1]) + b"\n" + lines_of(RECORDS[1:]))
    with pytest.raises(ValueError, match="line 2"):
        list(read_records(path))


def test_has_writer_probes_never_make_a_writer_fail(tmp_path: Path) -> None:
    path = tmp_path / "records"
    is_over = threading.Event()

    def probe() -> None:
        while not is_over.is_set():
            has_writer(path)

    probers = [threading.Thread(target=probe) for _ in range(2)]
    for prober in probers:
        prober.start()
    try:
        for number in range(300):
            with open_records(path) as file:
                append_record(file, {"number": number})
    finally:
        is_over.set()
        for prober in probers:
            prober.join()
    assert len(list(read_records(path))) == 300


def test_put_in_place_replaces_the_old_file_or_leaves_it(tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "old").write_bytes(b"old")
    put_in_place(tmp_path / "new", tmp_path / "old")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("old", b"new")]
    with pytest.raises(FileNotFoundError):
        put_in_place(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old").read_bytes() == b"new"
