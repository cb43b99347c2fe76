"""Settings that belong to the whole process: made at its entry, or for one library call and then restored."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

QUIET = "PIECEWISE_QUIET"  # in the environment, so that child processes are quiet too
OWNER_ONLY = 0o077  # the umask: runs and stores are readable by their owner alone

# What every command, stage and worker runs under, and hands on to its children.
ENVIRONMENT = {"DO_NOT_TRACK": "1"}  # no tool reports to its makers


def enter() -> None:
    """Make the settings of a command, stage or worker. Each entry calls this once, before anything else."""
    os.umask(OWNER_ONLY)
    os.environ.update(ENVIRONMENT)


def be_quiet() -> None:
    """Show results and errors only, in this process and its children."""
    os.environ[QUIET] = "1"


@contextmanager
def command_line(*words: str) -> Iterator[None]:
    """Let a library that reads `sys.argv` see these words."""
    before, sys.argv = sys.argv, list(words)
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set environment variables for one library call."""
    before = {name: os.environ[name] for name in values if name in os.environ}
    os.environ.update(values)
    try:
        yield
    finally:
        for name in values:
            os.environ.pop(name, None)
        os.environ.update(before)


@contextmanager
def training() -> Iterator[None]:
    """What one training changes in PyTorch and its environment."""
    import torch

    # torch.optim looks for a GPU at every step, and without this variable opens the driver's library each time.
    is_hidden = not torch.cuda.is_available() and "CUDA_VISIBLE_DEVICES" not in os.environ
    before = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    # Filling new memory helps only to find reads of memory that was never written, and costs a tenth of the time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        with environment(**({"CUDA_VISIBLE_DEVICES": ""} if is_hidden else {})):
            yield
    finally:
        torch.utils.deterministic.fill_uninitialized_memory = before  # type: ignore[attr-defined]
