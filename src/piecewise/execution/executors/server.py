"""The fork server of the executor `pool`: it has imported everything once, and starts the processes of the slots.

This module imports nothing that takes seconds: a command starts the server before its own imports.
"""

import contextlib
import signal
import tempfile
from collections.abc import Iterator, Sequence
from multiprocessing import forkserver, get_context, resource_tracker

from piecewise.errors import BadInput

PRELOADED = "piecewise.execution.executors.preloaded"
CONTEXT = get_context("forkserver")


def start_server(*modules: str) -> None:
    """Let the server begin to import, these modules too, while this process goes on. Raises BadInput."""
    CONTEXT.set_forkserver_preload([PRELOADED, *modules])
    try:
        resource_tracker.ensure_running()  # the server needs it; starting it unblocks signals
        with _interrupts_blocked():
            forkserver.ensure_running()
    except OSError as error:
        raise BadInput(
            f"executor=pool: its server of processes cannot start in {tempfile.gettempdir()}: {error}; "
            "allowed: a TMPDIR that is writable and has a short name, or executor=inline"
        ) from error


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Keep Ctrl-C from a process that is started here, until it ignores it; this one gets it afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_early(words: Sequence[str]) -> None:
    """Start the server for a sweep that is not planned yet, unless these words of its command say executor=inline."""
    if "executor=inline" not in words:
        with contextlib.suppress(BadInput):  # whether there are jobs for a pool is not known yet: the pool tries again
            start_server(*(["piecewise.analysis.draw"] if "figures=all" in words else []))
