"""`piecewise server` without running services: refusals, and leftovers of a crash."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from piecewise.cli import main
from piecewise.locks import file_lock
from piecewise.processes import Process
from piecewise.project import Project
from piecewise.server.keeper import kill_leftovers, lock_file, read_state, state_file, write_state
from running_server import wait_for


def test_a_taken_port_is_bad_input(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["server", f"--port={port}"]) == 2
    printed = capsys.readouterr()
    assert f"--port={port} cannot be used" in printed.err
    assert "allowed: a free one" in printed.err
    assert printed.out == ""


def test_missing_programs_are_reported_before_anything_starts(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["server", "--port=0"]) == 2
    assert ".venv/server/bin/mlflow is missing; make server installs it" in capsys.readouterr().err
    assert sorted(path.name for path in (project / "runs" / ".server").iterdir()) == ["lock"]


def test_stopping_without_a_server_is_no_error(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["server", "--stop"]) == 0
    assert capsys.readouterr().out == "no server runs\n"


def test_a_second_server_reports_the_address_of_the_first(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    with file_lock(lock_file(project)):
        assert main(["server"]) == 0
        assert "and is being started" in capsys.readouterr().out
        write_state(project, "http://127.0.0.1:7", [])
        assert main(["server"]) == 0
        assert capsys.readouterr().out == "a server runs already at http://127.0.0.1:7\n"


def test_a_starting_server_cannot_be_stopped_yet(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    with file_lock(lock_file(project)):
        assert main(["server", "--stop"]) == 75
    assert "try again in a moment" in capsys.readouterr().err


def test_only_processes_of_the_killed_server_are_killed(project: Project) -> None:
    left, other = (subprocess.Popen(["/bin/sleep", "100"], start_new_session=True) for _ in range(2))
    write_state(project, "http://127.0.0.1:7", [left.pid])
    state = json.loads(state_file(project).read_text())
    state["members"].append(
        {**Process.of(other.pid).as_dict(), "started": 1}
    )  # an earlier process with the same number
    state_file(project).write_text(json.dumps(state))
    kill_leftovers(project)
    assert left.wait(10) == -signal.SIGKILL
    assert other.poll() is None
    assert not state_file(project).exists()
    os.kill(other.pid, signal.SIGKILL)
    other.wait()


def test_group_members_that_outlive_their_leader_are_killed(project: Project) -> None:
    """MLflow's workers outlive their leader when all leaders are killed at once."""
    command = ["/bin/sh", "-c", "sleep 100 & echo $!; wait"]
    leader = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, text=True)
    assert leader.stdout is not None
    worker = int(leader.stdout.readline())
    leader.stdout.close()
    wait_for(lambda: Path(f"/proc/{worker}/cmdline").read_bytes().startswith(b"sleep"), "the worker", 10)
    write_state(project, "http://127.0.0.1:7", [leader.pid])
    leader.kill()
    leader.wait()
    assert Path(f"/proc/{worker}/cmdline").read_bytes() != b""
    kill_leftovers(project)
    wait_for(lambda: not Path(f"/proc/{worker}/cmdline").exists() or _is_zombie(worker), "the worker is gone", 10)


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"uri": 1}'])
def test_a_damaged_state_file_is_ignored_and_removed(project: Project, text: str) -> None:
    state_file(project).parent.mkdir(parents=True)
    state_file(project).write_text(text)
    assert read_state(project) is None
    kill_leftovers(project)
    assert not state_file(project).exists()
