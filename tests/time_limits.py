"""Limits of time that hold on a machine that is slow or busy with other work."""

import subprocess
import sys
import time

USUAL_SECONDS = 7.0  # that a process takes to import Lightning: 7 to 10 were measured, alone on two cores


def assert_within(limit: float, seconds: float, what: str = "") -> None:
    """Something took `seconds`: at most `limit`, or as many times more as this machine is slower than usual now."""
    if seconds >= limit:
        allowed = limit * max(1.0, _seconds_to_import() / USUAL_SECONDS)
        assert seconds < allowed, f"took {seconds:.1f} s, not {allowed:.1f} s (alone on two cores: {limit:g} s) {what}"


def _seconds_to_import() -> float:
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", "import pytorch_lightning"], check=True)
    return time.monotonic() - begun
