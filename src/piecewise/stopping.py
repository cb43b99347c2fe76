"""Stopping on SIGINT or SIGTERM: the first signal lets work finish its step, the second ends it at once."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
IMPORT_CODE = "<frozen importlib._bootstrap>"  # file name of the frames that import a module
RETRY_SECONDS = 0.02  # after a signal that came during an import


class Stopped(SystemExit):
    """A signal has ended the command. `except Exception` does not catch it; the exit code is 128 + the signal."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(128 + number)

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.number).name}"


class _State:
    num_polling = 0  # callers inside `poll_signals`
    requested: int | None = None  # the first signal while a caller polls
    raised: int | None = None  # the signal for which Stopped was raised, or will be after an import
    is_signalled = False  # whether a signal has come since the command began
    is_silent = False  # whether a signal is answered without a word


def listen() -> None:
    """Handle SIGINT and SIGTERM from now on, and forget earlier ones. Python allows this in the main thread only."""
    _State.raised = None
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            signal.signal(number, _handle)


def be_silent() -> None:
    """From now on, do not tell the user that a signal came: the process that passed it on has done so."""
    _State.is_silent = True


def is_silent() -> bool:
    """Whether another process tells the user that a signal came."""
    return _State.is_silent


@contextmanager
def handlers_restored() -> Iterator[None]:
    """Restore the handlers of SIGINT and SIGTERM at the end."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def handle_signals() -> Iterator[None]:
    """Handle signals during a whole command: an error that a signal has caused becomes Stopped."""
    _State.is_signalled = False
    listen()
    try:
        yield
    except Exception:
        raise_if_stopped()
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)  # a timer left running would raise after the command
        _State.raised = None


@contextmanager
def poll_signals() -> Iterator[None]:
    """Inside, the first signal is only noted: the caller polls `requested_stop` and ends in order.

    Raises Stopped at the end if a signal came, also if Lightning has answered it with exit code 0.
    """
    raise_if_stopped()
    listen()
    _State.num_polling += 1
    try:
        try:
            yield
        except SystemExit as leaving:
            if _State.requested is None or isinstance(leaving, Stopped):
                raise
        if _State.requested is not None:
            raise Stopped(_State.requested)
    finally:
        _State.num_polling -= 1
        _State.requested = None


def requested_stop() -> int | None:
    """The signal that asked to stop; None if none came."""
    return _State.requested


def is_signalled() -> bool:
    """Whether a signal has come to this command: it is ending already, and only needs time."""
    return _State.is_signalled


def raise_if_stopped() -> None:
    """Raise Stopped again if a signal has come. Call this before going on after an error.

    Libraries may catch Stopped or raise something else because of it.
    """
    if _State.raised is not None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise Stopped(_State.raised)


def _handle(number: int, frame: FrameType | None) -> None:
    _State.is_signalled = True
    if _State.num_polling and _State.requested is None:
        _State.requested = number
        if not _State.is_silent:
            with contextlib.suppress(OSError):  # os.write: sys.stderr may be in the middle of a line
                os.write(2, b"\nstopping after this step; once more stops at once\n")
        return
    if _State.raised is not None and _is_importing(frame):  # imports of torch take seconds: end without clearing up
        if not _State.is_silent:
            with contextlib.suppress(OSError):
                os.write(2, f"error: {Stopped(number)}\n".encode())
        os._exit(128 + number)
    _State.raised = number
    _raise(number, frame)


def _raise(number: int, frame: FrameType | None) -> None:
    if _is_importing(frame):
        # A half-imported module breaks later imports of it, and their errors would hide Stopped. Try again later.
        signal.signal(signal.SIGALRM, lambda _, frame: _raise(number, frame))
        signal.setitimer(signal.ITIMER_REAL, RETRY_SECONDS)
        return
    raise Stopped(number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == IMPORT_CODE:
            return True
        frame = frame.f_back
    return False
