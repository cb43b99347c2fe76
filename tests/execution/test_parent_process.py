"""Processes that end when whoever waits for them is gone, however early that was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# A process that begins to watch only after a while, as one that first imports much.
STAGE = """
import sys, time
time.sleep(float(sys.argv[1]))
from piecewise.execution.parent_process import end_with_dvc
end_with_dvc()
print("watching", flush=True)
time.sleep(60)
"""


def started_by_dvc(place: Path, delay: float, shell: str) -> tuple[subprocess.Popen[str], int]:
    """A stand-in for dvc, by name, that runs the stage through a shell or directly; and the stage's number."""
    dvc = place / "dvc"
    dvc.write_text("import subprocess, sys\nsubprocess.run(sys.argv[2:], shell=sys.argv[1] == 'shell')\n")
    stage = place / "stage.py"
    stage.write_text(STAGE)
    words = [sys.executable, str(stage), str(delay)]
    command = [f'"{words[0]}" "{stage}" {delay}; true'] if shell == "shell" else words
    environment = os.environ | {"DVC_STAGE": "train@x"}
    parent = subprocess.Popen(
        [sys.executable, str(dvc), shell, *command], cwd=place, env=environment, stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = subprocess.run(
            ["pgrep", "-f", f"^{sys.executable} {stage}"], capture_output=True, text=True, check=False
        )
        if found.stdout.strip():
            return parent, int(found.stdout.split()[0])
        time.sleep(0.02)
    raise AssertionError("the stage has not begun")


@pytest.mark.parametrize("shell", ["shell", "directly"])
@pytest.mark.parametrize("delay", [0.0, 1.0])  # seconds until it watches: it has lost dvc before that, or after
def test_a_stage_ends_with_dvc_whenever_that_is(tmp_path: Path, delay: float, shell: str) -> None:
    parent, stage = started_by_dvc(tmp_path, delay, shell)
    assert parent.stdout is not None
    if not delay:
        assert parent.stdout.readline() == "watching\n"
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + delay + 10
    while Path(f"/proc/{stage}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    parent.stdout.close()


# One that, told to stop, needs longer for its last step than `end_with_dvc` for its next look.
LAST_STEP = """
import time
from piecewise import stopping
from piecewise.execution.parent_process import end_with_dvc
end_with_dvc()
with stopping.poll_signals():
    print("working", flush=True)
    while stopping.requested_stop() is None:
        time.sleep(0.01)
    time.sleep(1.0)
    print("saved", flush=True)
"""


def test_a_signal_to_the_stage_and_dvc_at_once_lets_the_stage_end_in_order(tmp_path: Path) -> None:
    """As a scheduler sends it, to all that a person has started: that dvc is gone then must not be a second one."""
    (tmp_path / "dvc").write_text("import subprocess, sys\nsubprocess.run(sys.argv[1:])\n")
    command = [sys.executable, str(tmp_path / "dvc"), sys.executable, "-c", LAST_STEP]
    environment = os.environ | {"DVC_STAGE": "train@x"}
    parent = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert parent.stdout is not None
    with parent.stdout as said:
        assert said.readline() == "working\n"
        os.killpg(parent.pid, signal.SIGTERM)
        assert parent.wait(10) == -signal.SIGTERM
        assert said.read() == "saved\n"  # to its end, which is the stage's


STARTER = "from piecewise.processes import starter; print([getattr(starter(word), 'pid', None) for word in WORDS])"


def test_a_starter_is_found_only_by_its_command_line() -> None:
    code = STARTER.replace("WORDS", "('python', 'no such word')")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"[{os.getpid()}, None]\n"
