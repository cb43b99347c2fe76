"""The command where no server is needed: refusals, and what a crash has left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from piecewise.cli import main
from piecewise.durable import file_lock
from piecewise.processes import Process
from piecewise.project import Project
from piecewise.server.state import kill_leftovers, lock_file, read_state, state_file, write_state
from running_server import wait_for


def test_a_port_that_is_taken_is_bad_input(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["server", f"--port={port}"]) == 2
    told = capsys.readouterr()
    assert f"--port={port} cannot be used" in told.err
    assert "allowed: a free one" in told.err
    assert told.out == ""


def test_without_its_programs_nothing_is_started(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["server", "--port=0"]) == 2
    assert ".venv/server/bin/mlflow is missing; make server installs it" in capsys.readouterr().err
    assert sorted(path.name for path in (project / "runs" / ".server").iterdir()) == ["lock"]


def test_nothing_to_stop_is_no_error(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["server", "--stop"]) == 0
    assert capsys.readouterr().out == "no server runs\n"


def test_a_second_one_says_where_the_first_is(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    with file_lock(lock_file(project)):
        assert main(["server"]) == 0
        assert "and is being started" in capsys.readouterr().out
        write_state(project, "http://127.0.0.1:7", [], is_healthy=True)
        assert main(["server"]) == 0
        assert capsys.readouterr().out == "a server runs already at http://127.0.0.1:7\n"


def test_one_that_is_being_started_is_not_stopped_but_tried_again(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    with file_lock(lock_file(project)):
        assert main(["server", "--stop"]) == 75
    assert "try again in a moment" in capsys.readouterr().err


def test_what_a_killed_server_left_is_ended_and_nobody_else(project: Project) -> None:
    left, other = (subprocess.Popen(["/bin/sleep", "100"], start_new_session=True) for _ in range(2))
    write_state(project, "http://127.0.0.1:7", [left.pid], is_healthy=True)
    state = json.loads(state_file(project).read_text())
    state["members"].append({**Process.of(other.pid).as_dict(), "started": 1})  # an earlier one with that number
    state_file(project).write_text(json.dumps(state))
    kill_leftovers(project)
    assert left.wait(10) == -signal.SIGKILL
    assert other.poll() is None
    assert not state_file(project).exists()
    os.kill(other.pid, signal.SIGKILL)
    other.wait()


def test_what_outlived_the_leader_of_its_group_is_ended_too(project: Project) -> None:
    """As MLflow's workers do, when everything else is killed at once."""
    command = ["/bin/sh", "-c", "sleep 100 & echo $!; wait"]
    leader = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, text=True)
    assert leader.stdout is not None
    worker = int(leader.stdout.readline())
    leader.stdout.close()
    write_state(project, "http://127.0.0.1:7", [leader.pid], is_healthy=True)
    leader.kill()
    leader.wait()
    assert Path(f"/proc/{worker}/cmdline").read_bytes() != b""
    kill_leftovers(project)
    wait_for(lambda: not Path(f"/proc/{worker}/cmdline").exists() or _is_zombie(worker), "the worker is gone", 10)


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"uri": 1}'])
def test_a_damaged_state_is_no_state(project: Project, text: str) -> None:
    state_file(project).parent.mkdir(parents=True)
    state_file(project).write_text(text)
    assert read_state(project) is None
    kill_leftovers(project)
    assert not state_file(project).exists()
