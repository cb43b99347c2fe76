"""Writing files so that a crash loses nothing and leaves nothing half-written."""

import json
import os
import zlib
from collections.abc import Iterator
from functools import partial
from io import FileIO
from pathlib import Path
from typing import IO, Any

from piecewise.errors import BadInput
from piecewise.locks import wait_for_lock

PROBE_TIMEOUT_SECONDS = 0.2  # How long a writer waits for a `has_writer` probe to release its lock.
TAIL_BYTES = 65536  # how far from the end of a file `last_record` looks first


def write_atomic(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write `data` to `path` so that a reader sees either the old bytes or the new ones, also after a crash.

    The temporary file is in the target's folder: a rename across file systems would be a copy.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb", opener=partial(os.open, mode=mode)) as file:
            file.write(data)
        put_in_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_private(path: Path, text: str) -> None:
    """Write a text atomically. Only its owner can read it, from its first byte on and whatever the umask is."""
    write_atomic(path, text.encode(), mode=0o600)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, atomically."""
    write_atomic(path, (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises BadInput if the file is missing or holds anything else."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise BadInput(f"{path} does not exist") from error
    except ValueError as error:
        raise BadInput(f"{path} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise BadInput(f"{path} holds no JSON object")
    return content


def flush(file: IO[bytes]) -> None:
    """Write a file's buffered bytes to the disk: Python's buffer and the kernel's."""
    file.flush()
    os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Make renamed and new files in `folder` survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put_in_place(temporary: Path, path: Path) -> None:
    """Rename `temporary`, in the same folder, to `path`. After a power loss `path` is the old or the new file."""
    with temporary.open("rb") as file:
        flush(file)
    temporary.replace(path)
    flush_folder(path.parent)


def open_records(path: Path) -> FileIO:
    """Open a file of records for appending, and cut off an incomplete last line.

    Raises BlockingIOError while another writer has it open.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+b", buffering=0)  # a failed write must not be retried later
    try:
        wait_for_lock(file, PROBE_TIMEOUT_SECONDS)
    except BlockingIOError:
        file.close()
        raise
    file.seek(0)
    file.truncate(file.readall().rfind(b"\n") + 1)
    return file


def append_record(file: FileIO, record: dict[str, Any]) -> None:
    """Append one line: the CRC-32 of the JSON in hexadecimal, a space, the JSON. A killed process loses no such line.

    Raises OSError, for example on a full disk; what was written of the line is cut off again.
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
    """Yield what `append_record` wrote. An incomplete last line is skipped; any other damage raises BadInput."""
    return (record for record, _ in records_from(path, 0))


def records_from(path: Path, position: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Each record from byte `position` on, with the byte after it, from which a follower continues later.

    Only one line is in memory at a time. Raises BadInput as `read_records` does.
    """
    with path.open("rb") as file:
        file.seek(position)
        for line in file:
            if not line.endswith(b"\n"):  # still being written, or cut off by a crash
                return
            checksum, _, text = line[:-1].partition(b" ")
            if checksum != b"%08x" % zlib.crc32(text):
                number = 1 + path.read_bytes()[:position].count(b"\n")
                raise BadInput(f"{path}, line {number}: the checksum does not fit the record")
            position += len(line)
            yield json.loads(text), position


def last_record(path: Path) -> dict[str, Any] | None:
    """The last whole record, without reading the rest; None if it is missing or damaged."""
    with path.open("rb") as file:
        size, length = file.seek(0, os.SEEK_END), TAIL_BYTES
        while True:
            file.seek(max(0, size - length))
            lines = file.read().rpartition(b"\n")[0]  # without an incomplete last line
            if b"\n" in lines or length >= size:
                break
            length *= 2
    checksum, _, text = lines.rpartition(b"\n")[2].partition(b" ")
    return json.loads(text) if checksum == b"%08x" % zlib.crc32(text) else None


def is_torn(path: Path) -> bool:
    """Whether the file ends with an incomplete record."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 1))
        return file.read() not in (b"", b"\n")
