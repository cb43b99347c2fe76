"""Writing that survives a crash. Everything that must not be lost or half-written goes through here."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import IO, Any

from piecewise.errors import BadInput

LOOK_SECONDS = 0.2  # that who opens records waits for one who only looks whether they have a writer
TAIL = 65536  # bytes at the end of a file of records among which the last one is looked for


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader, or a restart, sees the old bytes or the new ones, never a mixture.

    The temporary file stands in the target's own folder: a rename across file systems is a copy.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            flush(file)
        temporary.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
    flush_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, atomically."""
    write_atomic(path, (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises BadInput for a missing file or anything else."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise BadInput(f"{path} does not exist") from error
    except ValueError as error:
        raise BadInput(f"{path} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise BadInput(f"{path} holds no JSON object")
    return content


def flush(file: IO[bytes]) -> None:
    """Push a file's bytes through Python's and the kernel's buffers onto the disk."""
    file.flush()
    os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Make a rename or a new name in `folder` survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put_in_place(temporary: Path, path: Path) -> None:
    """Give a file that was written beside `path` its name, so that after a power loss it is whole, or is not there."""
    with temporary.open("rb") as file:
        flush(file)
    temporary.replace(path)
    flush_folder(path.parent)


def open_records(path: Path) -> FileIO:
    """Open a file of records for appending, after cutting off a last line that a crash has torn.

    Raises BlockingIOError while another writer has it open.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+b", buffering=0)  # what could not be written must not wait for another try
    try:
        _wait_for_lock(file, LOOK_SECONDS)
    except BlockingIOError:
        file.close()
        raise
    file.seek(0)
    file.truncate(file.readall().rfind(b"\n") + 1)
    return file


def has_writer(path: Path) -> bool:
    """Whether somebody, in this process or another, has the file of records open for appending."""
    try:
        with path.open("rb") as file:
            _lock(file, fcntl.LOCK_SH)  # others may look at the same time
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


@contextmanager
def alone(path: Path, patience: float = 0.0) -> Iterator[None]:
    """While this is open, nobody else is between opening and closing it. Raises BlockingIOError after `patience` s."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        _wait_for_lock(file, patience)
        yield


def _wait_for_lock(file: IO[bytes], patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            return _lock(file)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(min(0.1, patience / 10))


def _lock(file: IO[bytes], kind: int = fcntl.LOCK_EX) -> None:
    """Until it is closed, or its process is gone."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # a file system that knows no locks
        pass


def append_record(file: FileIO, record: dict[str, Any]) -> None:
    """Append one line: CRC-32 of the JSON in hexadecimal, a space, the JSON. A killed process loses no such line.

    Raises OSError, of a full disk for example, and then leaves no half of a line for a later one to stand behind.
    """
    text = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
    line, end = b"%08x %s\n" % (zlib.crc32(text), text), file.seek(0, os.SEEK_END)
    try:
        while line:
            line = line[file.write(line) :]
    except OSError:
        file.truncate(end)
        raise


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what `append_record` wrote. A torn last line is left out; damage before it raises BadInput."""
    return (record for record, _ in records_from(path, 0))


def records_from(path: Path, position: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Each record from a byte of the file on, and the byte after it: where somebody who follows it goes on later.

    One line is in memory at a time. Raises BadInput, as `read_records` does.
    """
    with path.open("rb") as file:
        file.seek(position)
        for line in file:
            if not line.endswith(b"\n"):  # being written, or torn by a crash
                return
            checksum, _, text = line[:-1].partition(b" ")
            if checksum != b"%08x" % zlib.crc32(text):
                number = 1 + path.read_bytes()[:position].count(b"\n")
                raise BadInput(f"{path}, line {number}: the checksum does not fit the record")
            position += len(line)
            yield json.loads(text), position


def last_record(path: Path) -> dict[str, Any] | None:
    """What was appended last, without reading the rest; None if there is nothing, it is torn, or longer than TAIL."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        line = file.read().rpartition(b"\n")
    checksum, _, text = line[0].rpartition(b"\n")[2].partition(b" ")
    is_whole = line[2] == b"" and checksum == b"%08x" % zlib.crc32(text)
    return json.loads(text) if is_whole else None


def is_torn(path: Path) -> bool:
    """Whether the file ends in the middle of a record."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 1))
        return file.read() not in (b"", b"\n")
