"""Process-wide settings: some are made once at start-up, others during one library call, and then restored."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

QUIET = "PIECEWISE_QUIET"  # an environment variable, so that child processes inherit it
CUBLAS, CUBLAS_DETERMINISTIC = "CUBLAS_WORKSPACE_CONFIG", ":4096:8"  # as Lightning sets it, but for good
VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"
OWNER_ONLY = 0o077  # umask: only the owner can read the files that piecewise creates

# Environment variables of every command, stage and worker, and of their child processes.
ENVIRONMENT = {"DO_NOT_TRACK": "1"}  # no tool sends usage data


def enter() -> None:
    """Apply the start-up settings. Every entry point calls this once, first."""
    os.umask(OWNER_ONLY)
    os.environ.update(ENVIRONMENT)
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal's encoding may lack ≤; a file's name may be no text


def _open_closed_streams() -> None:
    """Open the null device in place of each standard stream that the parent process has closed (`2>&-`).

    Otherwise the next file that is opened gets the stream's number, and with it what libraries print.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
            except OSError:
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest free number: this one
            stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115 - it stays open
            setattr(sys, name, stream)


def be_quiet() -> None:
    """From now on, print only results and errors, also in child processes."""
    os.environ[QUIET] = "1"


@contextmanager
def command_line(*words: str) -> Iterator[None]:
    """Replace `sys.argv` inside the `with` block, for a library that reads it."""
    before, sys.argv = sys.argv, list(words)
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set environment variables inside the `with` block."""
    before = {name: os.environ[name] for name in values if name in os.environ}
    os.environ.update(values)
    try:
        yield
    finally:
        for name in values:
            os.environ.pop(name, None)
        os.environ.update(before)


def limit(threads: int, gpus: str | None) -> None:
    """From now on, give this process and those that it starts so many threads, and these GPUs if any are named."""
    import torch

    torch.set_num_threads(threads)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if gpus is not None:
        os.environ[VISIBLE_GPUS] = gpus


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread inside the `with` block, also in processes that are started there."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with environment(OMP_NUM_THREADS="1"):  # Lightning sets a number for each rank unless this is set
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def training() -> Iterator[None]:
    """The settings of PyTorch and the environment during one training, also those that Lightning's Trainer makes."""
    import torch

    # torch.optim looks for a GPU at every step. If there is none, an empty CUDA_VISIBLE_DEVICES saves it from opening
    # the driver's library each time.
    has_no_gpu = not torch.cuda.is_available() and VISIBLE_GPUS not in os.environ
    variables = {CUBLAS: os.environ.get(CUBLAS, CUBLAS_DETERMINISTIC)}
    if has_no_gpu:
        variables[VISIBLE_GPUS] = ""
    before = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    is_deterministic = torch.are_deterministic_algorithms_enabled()
    only_warns = torch.is_deterministic_algorithms_warn_only_enabled()
    is_tuned = torch.backends.cudnn.benchmark
    # Filling new memory only helps to debug reads of uninitialised memory, and costs a tenth of the training time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        with environment(**variables):
            yield
    finally:
        torch.utils.deterministic.fill_uninitialized_memory = before  # type: ignore[attr-defined]
        torch.use_deterministic_algorithms(is_deterministic, warn_only=only_warns)
        torch.backends.cudnn.benchmark = is_tuned
