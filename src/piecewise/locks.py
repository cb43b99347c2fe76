"""Locks between processes. The kernel releases them when their holder ends, however it ends."""

import contextlib
import fcntl
import os
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

LOCKS = Path("/proc/locks")  # see proc_locks(5)


@contextmanager
def file_lock(path: Path, timeout: float = 0.0, busy: Callable[[Path], Exception] | None = None) -> Iterator[None]:
    """Hold an exclusive lock on `path`: a folder, or a file, which is made if it is missing.

    Raises BlockingIOError, or the error that `busy` makes, if another holds it for `timeout` seconds.
    """
    if path.is_dir():
        descriptor = os.open(path, os.O_RDONLY)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            wait_for_lock(descriptor, timeout)
        except BlockingIOError as error:
            if busy is None:
                raise
            raise busy(path) from error
        yield
    finally:
        os.close(descriptor)


def has_writer(path: Path) -> bool:
    """Whether this process or another one holds the lock on a file or folder; a writer of records holds its file's."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        lock(descriptor, fcntl.LOCK_SH)  # shared: several probes may run at once
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def wait_for_lock(file: IO[bytes] | int, timeout: float) -> None:
    """Lock an open file. Raises BlockingIOError if another holds it for `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return lock(file)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(min(0.1, timeout / 10))


def lock(file: IO[bytes] | int, kind: int = fcntl.LOCK_EX) -> None:
    """Lock an open file until it is closed or the process ends. Raises BlockingIOError if another holds the lock."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks
        pass


def holder(path: Path) -> str:
    """The process that holds a lock on `path`, in words, with its command; "another process" if it is not known."""
    with contextlib.suppress(OSError):
        inode = path.stat().st_ino
        for line in LOCKS.read_text("utf-8").splitlines():
            # Number, kind, mode, type, process, device:inode, start, end. Some file systems show another device here.
            _, kind, _, _, process, place, *_ = line.split()
            if kind == "FLOCK" and place.endswith(f":{inode}") and process != "0":
                return f"process {process}{_command(process)}"
    return "another process"


def _command(number: str) -> str:
    try:
        words = Path("/proc", number, "cmdline").read_text("utf-8", errors="replace").split("\0")
    except OSError:  # it has just ended
        return ""
    names = " ".join(Path(word).name if word.startswith("/") else word for word in words)
    return f" ({textwrap.shorten(names, 60, placeholder=' …')})" if names.strip() else ""
