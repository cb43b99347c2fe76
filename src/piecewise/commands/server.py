"""Keep MLflow's server on this machine, with PostgreSQL for runs and an S3 store for artifacts, until Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from piecewise import terminal
from piecewise.commands.arguments import Arguments
from piecewise.durable import alone
from piecewise.errors import TryAgain
from piecewise.processes import is_gone
from piecewise.project import Project
from piecewise.server.ports import free_port
from piecewise.server.state import kill_leftovers, lock_file, read_state, write_state

PORT = 5001
PATIENCE = 90.0  # seconds for a server to stop


def main(project: Project, started_in: Path, arguments: list[str]) -> int:
    parser = Arguments("server", __doc__)
    parser.add_argument("--port", type=int, default=PORT, help=f"{PORT} unless told otherwise; 0 takes a free one")
    parser.add_argument("--stop", action="store_true", help="end the one that runs")
    asked = parser.read(arguments)
    if asked is None:
        return 0
    if asked.stop:
        return _stop(project)
    try:
        with alone(lock_file(project)):
            _keep(project, asked.port)
    except BlockingIOError:
        state = read_state(project)
        where = f"at {terminal.paint(state.uri, 'cyan')}" if state else "and is being started"
        terminal.show(f"a server runs already {where}")
    return 0


def _keep(project: Project, port: int) -> None:
    """Returns never: a signal ends it, or an error does."""
    from piecewise.server.services import address, services
    from piecewise.server.supervisor import Supervisor
    from piecewise.tracking.store.credentials import FILE

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


def _stop(project: Project) -> int:
    """Ask the keeper, and wait until it is gone."""
    lock = lock_file(project)
    try:
        with alone(lock):
            kill_leftovers(project)
            terminal.show("no server runs")
            return 0
    except BlockingIOError:
        state = read_state(project)
    if state is None or is_gone(state.keeper):
        raise TryAgain("the server is being started or stopped; once more in a moment")
    with contextlib.suppress(ProcessLookupError):
        os.kill(state.keeper["pid"], signal.SIGTERM)
    try:
        with alone(lock, PATIENCE):
            terminal.show("the server has stopped")
    except BlockingIOError as error:
        raise TryAgain(f"the server, process {state.keeper['pid']}, is still stopping") from error
    return 0
