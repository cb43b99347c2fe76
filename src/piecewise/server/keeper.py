"""Run a project's server in this process, or stop the one that runs in another."""

from __future__ import annotations

import contextlib
import os
import signal

from piecewise import terminal
from piecewise.durable import file_lock
from piecewise.errors import TryAgain
from piecewise.processes import is_gone
from piecewise.project import Project
from piecewise.server.ports import free_port
from piecewise.server.services import address, services
from piecewise.server.state import kill_leftovers, lock_file, read_state, write_state
from piecewise.server.supervisor import Supervisor
from piecewise.tracking.store.credentials import FILE

STOP_TIMEOUT = 90.0  # seconds for a server to stop


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
    is_healthy = False
    supervisor = Supervisor(lambda pids: write_state(project, address(port), pids, is_healthy))
    terminal.say("starting PostgreSQL, SeaweedFS and MLflow")
    try:
        for service in services(project, port):
            supervisor.add(service)
        is_healthy = True
        supervisor.on_change(supervisor.pids())
        terminal.say(f"MLflow   {terminal.paint(address(port), 'cyan')}, name and password in {FILE}")
        terminal.say(f"train    piecewise train tracking=server tracking.uri={address(port)}\nCtrl-C ends it")
        supervisor.run()
    finally:
        supervisor.stop()
        kill_leftovers(project)


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
