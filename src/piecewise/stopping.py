"""Being asked to stop: the first signal ends the work in order, the second at once."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(SystemExit):
    """A signal ended the command. No `except Exception` swallows it; the exit code is 128 + the signal."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(128 + number)

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.number).name}"


class _State:
    polled = 0  # how many callers poll, and so can end in order
    asked: int | None = None  # the first signal, when somebody polls


def listen() -> None:
    """Answer SIGINT and SIGTERM from now on. In other threads than the main one Python cannot, and nothing happens."""
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            signal.signal(number, _answer)


@contextmanager
def in_order() -> Iterator[None]:
    """While this is open, the first signal is only noted: its owner must ask `asked` often, and end.

    Raises Stopped at the end if a signal came that nobody has answered.
    """
    listen()
    _State.polled += 1
    try:
        yield
        if _State.asked is not None:
            raise Stopped(_State.asked)
    finally:
        _State.polled -= 1
        _State.asked = None


def asked() -> int | None:
    """The signal that asked to stop, if one did."""
    return _State.asked


def _answer(number: int, frame: FrameType | None) -> None:
    if _State.polled and _State.asked is None:
        _State.asked = number
        print("\nstopping after this step; once more stops at once", file=sys.stderr, flush=True)
        return
    raise Stopped(number)
