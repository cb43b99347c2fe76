"""Run a project's server in this process, or stop the one that runs in another.

A file holds the address and the processes of a running server.
"""

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from piecewise import terminal
from piecewise.durable import write_private
from piecewise.errors import TryAgain
from piecewise.locks import file_lock
from piecewise.processes import Process, is_gone, this_process
from piecewise.project import Project
from piecewise.server.credentials import read_or_make_login, read_or_make_secrets
from piecewise.server.mlflow_service import mlflow_service
from piecewise.server.postgres import postgres_service
from piecewise.server.seaweedfs import NUM_PORTS, seaweedfs_service
from piecewise.server.service import HOST, Service, free_port, free_ports, installed_program
from piecewise.server.supervisor import Supervisor
from piecewise.tracking.store.credentials import FILE

STOP_TIMEOUT = 90.0  # seconds for a server to stop


@dataclass(frozen=True)
class ServerState:
    """What state.json holds."""

    uri: str
    keeper: Process  # the process of `piecewise server`
    members: list[Process]  # the services' processes, each the leader of a process group


def state_file(project: Project) -> Path:
    return project.server / "state.json"


def lock_file(project: Project) -> Path:
    """Locked by the keeper as long as it lives."""
    return project.server / "lock"


def write_state(project: Project, uri: str, pids: list[int]) -> None:
    state = ServerState(uri, this_process(), [Process.of(pid) for pid in pids])
    write_private(state_file(project), json.dumps(asdict(state)) + "\n")


def read_state(project: Project) -> ServerState | None:
    """None if there is no file, or a crash has damaged it."""
    try:
        content = json.loads(state_file(project).read_text("utf-8"))
        members = [Process.parse(process) for process in content["members"]]
        return ServerState(content["uri"], Process.parse(content["keeper"]), members)
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return None


def kill_leftovers(project: Project) -> None:
    """Kill the process groups that a killed server has left, and remove its state."""
    state = read_state(project)
    for member in state.members if state else []:
        if _is_same_group(member):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(member.pid, signal.SIGKILL)
    state_file(project).unlink(missing_ok=True)


def _is_same_group(member: Process) -> bool:
    """Whether the group of `member` is still its own. The kernel reuses no number while its group has a member."""
    now = Process.of(member.pid)
    return (now.host, now.boot) == (member.host, member.boot) and now.started in (None, member.started)


def run_server(project: Project, port: int) -> None:
    """Run until a signal raises Stopped. Returns at once if the project's server runs already."""
    try:
        with file_lock(lock_file(project)):
            _run(project, port)
    except BlockingIOError:
        state = read_state(project)
        where = f"at {terminal.paint(state.uri, 'cyan')}" if state else "and is being started"
        terminal.show(f"a server runs already {where}")


def _run(project: Project, port: int) -> None:
    kill_leftovers(project)
    port = free_port(port)
    uri = f"http://{HOST}:{port}"
    supervisor = Supervisor(lambda pids: write_state(project, uri, pids))
    terminal.say("starting PostgreSQL, SeaweedFS and MLflow")
    try:
        for service in services(project, port, uri):
            supervisor.add(service)
        terminal.say(f"MLflow   {terminal.paint(uri, 'cyan')}, name and password in {FILE}")
        terminal.say(f"train    piecewise train tracking=server tracking.uri={uri}\nCtrl-C ends it")
        supervisor.run()
    finally:
        supervisor.stop()
        kill_leftovers(project)


def services(project: Project, port: int, uri: str) -> Iterator[Service]:
    """Each service after those that it needs; MLflow answers at `uri`.

    Raises BadInput before the first one if a program is missing.
    """
    for program in ("mlflow", "weed"):
        installed_program(project, program)
    for log in project.server.glob("*.log"):
        log.unlink()
    shutil.rmtree(project.server / "tmp", ignore_errors=True)  # unfinished downloads of a crashed server
    secrets = read_or_make_secrets(project)
    login = read_or_make_login(project, uri)
    database, *seaweedfs = free_ports(1 + NUM_PORTS)
    yield postgres_service(project, secrets.database, database)
    yield seaweedfs_service(project, secrets, seaweedfs)
    yield mlflow_service(project, port, login, secrets, postgres_port=database, s3_port=seaweedfs[0])


def stop_server(project: Project) -> None:
    """Send SIGTERM to the process that runs the server, and wait for its end. Raises TryAgain if it does not end."""
    lock = lock_file(project)
    try:
        with file_lock(lock):
            kill_leftovers(project)
            terminal.show("no server runs")
            return
    except BlockingIOError:
        state = read_state(project)
    if state is None or is_gone(state.keeper):
        raise TryAgain("the server is being started or stopped; try again in a moment")
    with contextlib.suppress(ProcessLookupError):
        os.kill(state.keeper.pid, signal.SIGTERM)
    try:
        with file_lock(lock, STOP_TIMEOUT):
            terminal.show("the server has stopped")
    except BlockingIOError as error:
        raise TryAgain(f"the server, process {state.keeper.pid}, is still stopping") from error
