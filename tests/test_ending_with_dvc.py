"""A stage ends when its dvc is gone, even if dvc was gone before the stage watched it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# A stage that watches dvc only after a delay, as if its imports were slow.
STAGE = """
import sys, time
time.sleep(float(sys.argv[1]))
from piecewise.processes import end_with_dvc
end_with_dvc()
print("watching", flush=True)
time.sleep(60)
"""


def started_by_dvc(place: Path, delay: float, shell: str) -> tuple[subprocess.Popen[str], int]:
    """Run the stage from a script named dvc, through a shell or directly; return that process and the stage's pid."""
    dvc = place / "dvc"
    dvc.write_text("import subprocess, sys\nsubprocess.run(sys.argv[2:], shell=sys.argv[1] == 'shell')\n")
    stage = place / "stage.py"
    stage.write_text(STAGE)
    arguments = [sys.executable, str(stage), str(delay)]
    command = [f'"{sys.executable}" "{stage}" {delay}; true'] if shell == "shell" else arguments
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
    raise AssertionError("the stage did not start")


@pytest.mark.parametrize("shell", ["shell", "directly"])
@pytest.mark.parametrize("delay", [0.0, 1.0])  # seconds until the stage watches dvc, killed after or before that
def test_a_stage_ends_when_dvc_is_killed_before_or_after_it_watches(tmp_path: Path, delay: float, shell: str) -> None:
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


# A stage whose last step after a signal takes longer than `end_with_dvc` waits between two looks at dvc.
LAST_STEP = """
import time
from piecewise import stopping
from piecewise.processes import end_with_dvc
end_with_dvc()
with stopping.poll_signals():
    print("working", flush=True)
    while stopping.requested_stop() is None:
        time.sleep(0.01)
    time.sleep(1.0)
    print("saved", flush=True)
"""


def test_a_signal_to_stage_and_dvc_at_once_lets_the_stage_save(tmp_path: Path) -> None:
    """A scheduler signals the whole process group. That dvc is gone then must not act as a second signal."""
    (tmp_path / "dvc").write_text("import subprocess, sys\nsubprocess.run(sys.argv[1:])\n")
    command = [sys.executable, str(tmp_path / "dvc"), sys.executable, "-c", LAST_STEP]
    environment = os.environ | {"DVC_STAGE": "train@x"}
    parent = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert parent.stdout is not None
    with parent.stdout as output:
        assert output.readline() == "working\n"
        os.killpg(parent.pid, signal.SIGTERM)
        assert parent.wait(10) == -signal.SIGTERM
        assert output.read() == "saved\n"  # read to the end: the stage has ended


STARTER = "from piecewise.processes import starter; print([getattr(starter(word), 'pid', None) for word in WORDS])"


def test_a_starter_is_found_only_by_its_command_line() -> None:
    code = STARTER.replace("WORDS", "('python', 'no such word')")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"[{os.getpid()}, None]\n"
