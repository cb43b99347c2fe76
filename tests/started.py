"""Commands in a process group of their own, as a terminal or a scheduler starts them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def started(*command: str, stderr: int = subprocess.PIPE, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Nothing is left of it afterwards. `options` are those of Popen."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=stderr, text=True, start_new_session=True, **options
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
