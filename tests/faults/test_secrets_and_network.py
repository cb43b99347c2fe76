"""Secrets stay in the environment, and no command needs or uses a network."""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from piecewise.project import Project
from small_project import ROOT, TINY

CANARY = "canary-4711-hush"
TRAIN = [item for item in TINY if not item.startswith("tracking")]
# Runs a command in a new network namespace, whose only device is loopback. Exit code 77: namespaces are forbidden.
WITHOUT_NETWORK = """
import ctypes, fcntl, os, runpy, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
uid, gid = os.getuid(), os.getgid()
flags = 0x40000000 | (0x10000000 if uid else 0)
if libc.unshare(flags):
    sys.exit(77)
if uid:
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        open(f"/proc/self/{name}", "w").write(text)
with socket.socket() as probe:
    fcntl.ioctl(probe, 0x8914, struct.pack("16sH14s", b"lo", 0x41, b""))
os.execv(sys.argv[1], sys.argv[1:])
"""


def secret_environment() -> dict[str, str]:
    names = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY", "SECRET")
    return os.environ | dict.fromkeys(names, CANARY)


@pytest.mark.slow
@pytest.mark.parametrize("log_model", ["none", "best"])
def test_a_secret_in_the_environment_is_in_no_file(project: Project, log_model: str) -> None:
    """The secret is also not printed, and in no argument of any process that the command starts."""
    command = [sys.executable, "-m", "piecewise", "train", *TRAIN, f"log_model={log_model}"]
    process = subprocess.Popen(
        command, env=secret_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    arguments: set[bytes] = set()
    while process.poll() is None:
        arguments |= {_read(path) for path in Path("/proc").glob("[0-9]*/cmdline")}
        time.sleep(0.1)  # reading them without pause would slow the command down
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert (project / "mlflow.db").is_file()
    assert any(b"piecewise.tracking.sync.follower" in line for line in arguments)
    files = [path for path in project.root.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []
    assert CANARY not in output
    assert [line for line in arguments if CANARY.encode() in line] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [["train", *TRAIN], ["list"], ["show", "model=cnn", "data=mnist", "loss=categorical"], ["sync"], ["doctor"]],
)
def test_commands_need_no_network(project: Project, arguments: list[str]) -> None:
    command = [sys.executable, "-c", WITHOUT_NETWORK, sys.executable, "-m", "piecewise", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode == 77:
        pytest.skip(f"this machine forbids network namespaces ({os.strerror(ctypes.get_errno())})")
    assert done.returncode in (0, 1 if arguments == ["doctor"] else 0), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_commands_about_runs_need_no_network(project: Project) -> None:
    (project / "x.csv").write_text("x\n0.5\n")
    verbs = ["evaluate last", "predict last --input x.csv", "resume last", "verify", "summary", "report", "clean --yes"]
    python = shlex.quote(sys.executable)
    commands = [f"-m piecewise {verb}" for verb in ["train " + " ".join(TRAIN), *verbs]]
    script = "\n".join(f"{python} {command} || exit" for command in ["pipelines/compose.py", *commands])
    ui = f"timeout --signal=INT --preserve-status 20 {python} -m piecewise ui --port 0; [ $? = 130 ]"
    command = [sys.executable, "-c", WITHOUT_NETWORK, "/bin/bash", "-c", f"{script}\n{ui}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode == 77:
        pytest.skip("this machine forbids network namespaces")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_namespace_has_no_network() -> None:
    """Otherwise the tests above would prove nothing."""
    code = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=5)"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_NETWORK, sys.executable, "-c", code], capture_output=True, check=False
    )
    assert done.returncode in (1, 77)
    assert done.returncode == 77 or b"unreachable" in done.stderr


def test_telemetry_is_off_and_dvc_shares_no_cache_folder() -> None:
    from piecewise.tracking.store.mlflow_settings import PRIVATE

    assert PRIVATE["MLFLOW_DISABLE_TELEMETRY"] == "true"
    config = (ROOT / ".dvc" / "config").read_text()
    assert "analytics = false" in config
    assert "site_cache_dir = " in config
    assert "export DO_NOT_TRACK := 1" in (ROOT / "Makefile").read_text()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended meanwhile
        return b""
