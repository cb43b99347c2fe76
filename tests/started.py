"""Starts commands in their own process group, as a terminal or a scheduler does."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def started(*command: str, stderr: int = subprocess.PIPE, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a command, and kill its process group at the end. `options` go to Popen."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=stderr, text=True, start_new_session=True, **options
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
