"""MLflow's pages for the embedded store, served on this machine only."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

from piecewise import terminal
from piecewise.errors import BadInput, PiecewiseError
from piecewise.journal.find import find_run
from piecewise.project import Project
from piecewise.server.mlflow_service import access_options
from piecewise.server.service import HOST, end_with_parent, free_port, signal_group
from piecewise.tracking.mirror.lookup import find_page
from piecewise.tracking.store.addresses import EMBEDDED
from piecewise.tracking.store.embedded import prepare
from piecewise.tracking.store.errors import explain
from piecewise.tracking.store.mlflow_settings import PRIVATE
from piecewise.tracking.store.open import open_store


def serve_pages(project: Project, port: int, run: str | None) -> None:
    """Serve the list of experiments, or the page of `run`, until a signal raises Stopped.

    Raises PiecewiseError if MLflow's server ends.
    """
    if not project.store.is_file():
        raise BadInput(
            f"{project} has no mlflow.db yet; piecewise train or dvc repro makes it, piecewise sync mends it"
        )
    page = "" if run is None else _page_of_run(project, run)
    port = free_port(port)
    try:
        prepare(project)  # so that a project that was moved shows its artifacts
    except sqlite3.OperationalError as error:
        raise PiecewiseError(f"mlflow.db: {explain(error)}") from error
    terminal.say(f"MLflow   {terminal.paint(f'http://{HOST}:{port}{page}', 'cyan')}\nCtrl-C ends it")
    log = project.runs / ".ui.log"
    process = _start(log, port)
    try:
        raise PiecewiseError(f"MLflow's server ended with exit code {process.wait()}; its log is {log}")
    finally:
        signal_group(process.pid, signal.SIGTERM)
        process.wait()


def _start(log: Path, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", EMBEDDED, "--host", HOST]
    command += ["--port", str(port), "--workers", "1", "--uvicorn-opts", "--log-level warning", *access_options(port)]
    environment = {**os.environ, **PRIVATE, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log.parent.mkdir(exist_ok=True)
    ends = end_with_parent(os.getpid(), signal.SIGTERM)  # MLflow passes the signal on to its workers
    with log.open("wb") as output:
        return subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, start_new_session=True, preexec_fn=ends
        )


def _page_of_run(project: Project, text: str) -> str:
    """The path and fragment of a run's page. Raises BadInput if MLflow does not have the run."""
    run = find_run(project, text)
    page = find_page(open_store(EMBEDDED, project), run.start.id)
    if page is None:
        raise BadInput(f"run {run.start.id} is not in mlflow.db; piecewise sync brings it there")
    return page
