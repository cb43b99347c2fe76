"""Open MLflow's pages for this project, on this machine only, until Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

from piecewise import terminal
from piecewise.commands.arguments import Arguments
from piecewise.errors import BadInput, PiecewiseError
from piecewise.project import Project
from piecewise.server.ports import HOST, free_port

PORT = 5000
LOG = Path("runs", ".ui.log")


def main(project: Project, started_in: Path, arguments: list[str]) -> int:
    parser = Arguments("ui", __doc__)
    parser.add_argument("run", metavar="RUN", nargs="?", help="whose page is shown; else the list of experiments")
    parser.add_argument("--port", type=int, default=PORT, help=f"{PORT} unless told otherwise; 0 takes a free one")
    asked = parser.read(arguments)
    if asked is None:
        return 0
    from piecewise.tracking.store.embedded import prepare
    from piecewise.tracking.store.errors import explain
    from piecewise.tracking.store.open import EMBEDDED, PRIVATE

    if not project.store.is_file():
        raise BadInput(
            f"{project} has no mlflow.db yet; piecewise train or dvc repro makes it, piecewise sync mends it"
        )
    page = "" if asked.run is None else _page(project, asked.run)
    port = free_port(asked.port)
    try:
        prepare(project)  # a project that was moved must show its artifacts
    except sqlite3.OperationalError as error:
        raise PiecewiseError(f"mlflow.db: {explain(error)}") from error
    address = f"http://{HOST}:{port}{page}"
    terminal.say(f"MLflow   {terminal.paint(address, 'cyan')}\nCtrl-C ends it")
    names = [f"{host}:{port}" for host in (HOST, "localhost")]  # no other: a foreign page may not reach it by its own
    server = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", EMBEDDED, "--host", HOST]
    server += ["--port", str(port), "--workers", "1", "--uvicorn-opts", "--log-level warning"]
    server += ["--allowed-hosts", ",".join(names), "--cors-allowed-origins", ",".join(f"http://{n}" for n in names)]
    project.runs.mkdir(exist_ok=True)
    with (project / LOG).open("wb") as log:
        environment = {**os.environ, **PRIVATE, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        process = subprocess.Popen(server, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        raise PiecewiseError(
            f"MLflow's server ended by itself with {process.wait()}; what it said is in {project / LOG}"
        )
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _page(project: Project, text: str) -> str:
    """The part of the address that names a run's own page. Raises BadInput if MLflow does not have the run."""
    from piecewise.journal.find import find_run
    from piecewise.tracking.mirror.lookup import find_page
    from piecewise.tracking.store.open import EMBEDDED, open_store

    run = find_run(project, text)
    page = find_page(open_store(EMBEDDED, project), run.start["id"])
    if page is None:
        raise BadInput(f"run {run.start['id']} is not in mlflow.db; piecewise sync brings it there")
    return page
