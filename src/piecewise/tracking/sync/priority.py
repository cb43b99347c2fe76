"""How much of the processors a thread takes from others, and how much of them is idle."""

import contextlib
import os


def lower_priority(niceness: int) -> None:
    """Make this thread so much nicer than its process was started; outside Linux, the whole process."""
    with contextlib.suppress(OSError):  # a sandbox may forbid it
        os.setpriority(os.PRIO_PROCESS, 0, min(19, os.getpriority(os.PRIO_PROCESS, os.getpid()) + niceness))


def idle_cores() -> float:
    """How many of the cores that this process may use were idle since the last call."""
    import psutil

    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    percents: list[float] = psutil.cpu_percent(percpu=True)
    return sum(1 - busy / 100 for core, busy in enumerate(percents) if usable is None or core in usable)
