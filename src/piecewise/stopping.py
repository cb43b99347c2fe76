"""Being asked to stop: the first signal ends the work in order, the second at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
IMPORT = "<frozen importlib._bootstrap>"
AGAIN = 0.02  # seconds until a signal that came during an import is answered


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
    came: int | None = None  # the signal for which Stopped was raised somewhere, or soon will be
    has_come = False  # a signal, ever


def listen() -> None:
    """Answer SIGINT and SIGTERM from now on, and forget those before.

    In other threads than the main one Python cannot, and nothing happens.
    """
    _State.came = None
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            signal.signal(number, _answer)


@contextmanager
def answered() -> Iterator[None]:
    """Around a whole command: an error that a signal has caused becomes Stopped."""
    listen()
    try:
        yield
    except Exception:
        check()
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)  # nobody is left to answer
        _State.came = None


@contextmanager
def in_order() -> Iterator[None]:
    """While this is open, the first signal is only noted: its owner must ask `asked` often, and end.

    Raises Stopped at the end if a signal came that nobody has answered, or that Lightning answered with code 0.
    """
    check()
    listen()
    _State.polled += 1
    try:
        try:
            yield
        except SystemExit as leaving:
            if _State.asked is None or isinstance(leaving, Stopped):
                raise
        if _State.asked is not None:
            raise Stopped(_State.asked)
    finally:
        _State.polled -= 1
        _State.asked = None


def asked() -> int | None:
    """The signal that asked to stop, if one did."""
    return _State.asked


def is_ending() -> bool:
    """Whether a signal has come to this process, which so ends already, and only needs its time."""
    return _State.has_come


def check() -> None:
    """Raise Stopped, again, if a signal asks for it: whoever is about to go on after an error asks this first.

    Foreign code may swallow Stopped, or fail of it with an error of its own.
    """
    if _State.came is not None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise Stopped(_State.came)


def _answer(number: int, frame: FrameType | None) -> None:
    _State.has_come = True
    if _State.polled and _State.asked is None:
        _State.asked = number
        with contextlib.suppress(OSError):  # not through sys.stderr, which may be in the middle of a line
            os.write(2, b"\nstopping after this step; once more stops at once\n")
        return
    _State.came = number
    if _is_importing(frame):
        # A module that is only half there breaks those that import it, and they would not let Stopped through.
        signal.signal(signal.SIGALRM, lambda _, frame: _answer(number, frame))
        signal.setitimer(signal.ITIMER_REAL, AGAIN)
        return
    raise Stopped(number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == IMPORT:
            return True
        frame = frame.f_back
    return False
