"""A save that is killed or fails at any of its system calls leaves the previous checkpoint or the new one intact."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from piecewise.training.checkpoint_files import newest, path_of, read, write
from trials import Trials

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

# The paths `/begin` and `/end` do not exist: they mark the save among the system calls of the process.
SAVE = """
import os, sys
from pathlib import Path
from piecewise.training.checkpoint_files import path_of, write
folder, step, data = Path(sys.argv[1]), int(sys.argv[2]), bytes(range(250)) * 40
os.access("/begin", os.F_OK)
write(path_of(folder, step), data)
os.access("/end", os.F_OK)
"""
DATA = bytes(range(250)) * 40
CALLS = ["openat", "open", "write", "fsync", "rename", "unlink", "close", "fstat", "newfstatat", "getdents64", "mkdir"]
FAULTS = ["signal=KILL", "error=ENOSPC", "error=EIO"]
Point = tuple[str, int]  # the name of a system call, and its number among the calls of that name


def save(
    folder: Path, step: int, log: Path, elsewhere: Path, *options: str, program: str = SAVE
) -> subprocess.CompletedProcess[str]:
    command = ["strace", "-o", str(log), "-e", f"trace=access,{','.join(CALLS)}", *options]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(elsewhere)}
    command += [sys.executable, "-W", "ignore", "-c", program, str(folder), str(step)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def calls_of(log: Path) -> list[tuple[bool, Point]]:
    """Every system call of the process, and whether it lies between the marks of the save."""
    counts: dict[str, int] = {}
    found, is_inside = [], False
    for line in log.read_text(errors="replace").splitlines():
        match = re.match(r"(\w+)\(", line)
        if match is None:
            continue
        name = match[1]
        counts[name] = counts.get(name, 0) + 1
        is_inside = (is_inside or '"/begin"' in line) and '"/end"' not in line
        if name != "access":
            found.append((is_inside, (name, counts[name])))
    return found


def prepared(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for step in (5, 10):
        write(path_of(folder, step), DATA[step:])
    return folder


@pytest.mark.parametrize("place", ["here", "/dev/shm"])  # $TMPDIR is on the other file system
def test_a_save_that_fails_at_any_system_call(tmp_path: Path, place: str, trials: Trials) -> None:
    base = tmp_path if place == "here" else Path(place) / f"piecewise-{os.getpid()}"
    elsewhere = Path("/dev/shm") if place == "here" else tmp_path
    try:
        for _ in range(2):  # the first one fills Python's caches
            shutil.rmtree(base / "whole", ignore_errors=True)
            save(prepared(base / "whole"), 15, tmp_path / "log", elsewhere)
        points = [point for is_inside, point in calls_of(tmp_path / "log") if is_inside]
        chosen = [(*point, fault) for point in points for fault in FAULTS]
        assert len(chosen) >= 100
        promise = f"saves killed or failed at each system call, files in {place if place != 'here' else 'the project'}"
        for number, rng in enumerate(trials(promise, len(chosen))):
            name, count, fault = chosen[number] if trials.share >= 1 else rng.choice(chosen)
            folder = prepared(base / str(number))
            log = tmp_path / f"{number}.log"
            save(folder, 15, log, elsewhere, "-e", f"inject={name}:{fault}:when={count}")
            text = log.read_text(errors="replace")
            assert "killed by SIGKILL" in text if "KILL" in fault else "(INJECTED)" in text
            found = newest(folder)
            assert found in (path_of(folder, 10), path_of(folder, 15)), (name, count, fault)
            assert read(found) == (DATA if found == path_of(folder, 15) else DATA[10:])
            write(path_of(folder, 20), b"later")
            assert newest(folder) == path_of(folder, 20)
            assert len(list(folder.iterdir())) == 4
    finally:
        if place != "here":
            shutil.rmtree(base, ignore_errors=True)


# Overwrites one file as Lightning does by default.
LIGHTNING_SAVE = """
import sys
from pathlib import Path
from lightning_fabric.utilities.cloud_io import _atomic_save
_atomic_save({"step": int(sys.argv[2])}, Path(sys.argv[1]) / "last.ckpt")
"""


@pytest.mark.slow
def test_a_kill_destroys_the_file_of_lightnings_own_saver_if_tmpdir_is_on_another_disk(tmp_path: Path) -> None:
    """This is why piecewise has its own saver, and shows that these kills find such a fault. Fails if it is repaired.

    The kill comes at the first system call after the file to replace was opened.
    """
    path, log, elsewhere = tmp_path / "last.ckpt", tmp_path / "log", Path("/dev/shm")
    torch.save({"step": 10}, path)
    save(tmp_path, 15, log, elsewhere, "-P", str(path), program=LIGHTNING_SAVE)
    assert torch.load(path, weights_only=True) == {"step": 15}
    calls = re.findall(r"^(\w+)\(", log.read_text(), re.MULTILINE)
    name = calls[calls.index("openat") + 1]
    count = calls[: calls.index("openat") + 2].count(name)
    save(
        tmp_path,
        20,
        log,
        elsewhere,
        "-P",
        str(path),
        "-e",
        f"inject={name}:{FAULTS[0]}:when={count}",
        program=LIGHTNING_SAVE,
    )
    assert "killed by SIGKILL" in log.read_text()
    assert path.stat().st_size == 0  # neither the old checkpoint nor the new one
