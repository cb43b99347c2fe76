"""A save that is killed, or fails, at each of its system calls: the checkpoint before is there, or the new one is."""

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

# `/begin` is nowhere: it marks where the save begins among the system calls of the process.
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
Point = tuple[str, int]  # a system call, and which of its name


def save(
    folder: Path, step: int, log: Path, elsewhere: Path, *options: str, program: str = SAVE
) -> subprocess.CompletedProcess[str]:
    command = ["strace", "-o", str(log), "-e", f"trace=access,{','.join(CALLS)}", *options]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(elsewhere)}
    command += [sys.executable, "-W", "ignore", "-c", program, str(folder), str(step)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def calls_of(log: Path) -> list[tuple[bool, Point]]:
    """Every system call of a save, and whether it belongs to the writing itself."""
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


@pytest.mark.parametrize("place", ["here", "/dev/shm"])  # with $TMPDIR on the other one
def test_a_save_that_fails_at_any_system_call(tmp_path: Path, place: str, trials: Trials) -> None:
    base = tmp_path if place == "here" else Path(place) / f"piecewise-{os.getpid()}"
    elsewhere = Path("/dev/shm") if place == "here" else tmp_path
    try:
        for _ in range(2):  # the first one warms what Python caches
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


# What Lightning does by default, to the one file that it keeps.
STOCK = """
import sys
from pathlib import Path
from lightning_fabric.utilities.cloud_io import _atomic_save
_atomic_save({"step": int(sys.argv[2])}, Path(sys.argv[1]) / "last.ckpt")
"""


@pytest.mark.slow
def test_lightnings_own_saver_is_caught_when_its_temporary_folder_is_elsewhere(tmp_path: Path) -> None:
    """The fact that our own is for, and the proof that these kills catch such a saver; should it change, this says so.

    Of its points one is tried: the first after it has opened the file that it replaces.
    """
    path, log, elsewhere = tmp_path / "last.ckpt", tmp_path / "log", Path("/dev/shm")
    torch.save({"step": 10}, path)
    save(tmp_path, 15, log, elsewhere, "-P", str(path), program=STOCK)
    assert torch.load(path, weights_only=True) == {"step": 15}
    calls = re.findall(r"^(\w+)\(", log.read_text(), re.MULTILINE)
    name = calls[calls.index("openat") + 1]
    count = calls[: calls.index("openat") + 2].count(name)
    save(tmp_path, 20, log, elsewhere, "-P", str(path), "-e", f"inject={name}:{FAULTS[0]}:when={count}", program=STOCK)
    assert "killed by SIGKILL" in log.read_text()
    assert path.stat().st_size == 0  # neither the old one nor the new one
