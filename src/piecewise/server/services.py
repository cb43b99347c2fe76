"""The three services of a server: PostgreSQL, SeaweedFS and MLflow."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from piecewise.project import Project
from piecewise.server.child_process import Service
from piecewise.server.credentials import read_or_make_login, read_or_make_secrets
from piecewise.server.mlflow_service import mlflow_service
from piecewise.server.ports import HOST, free_ports
from piecewise.server.postgres import postgres_service
from piecewise.server.programs import installed_program
from piecewise.server.seaweedfs import NUM_PORTS, seaweedfs_service


def address(port: int) -> str:
    return f"http://{HOST}:{port}"


def services(project: Project, port: int) -> Iterator[Service]:
    """Each service after those that it needs. MLflow answers at `port`.

    Raises BadInput before the first one if a program is missing.
    """
    for program in ("mlflow", "weed"):
        installed_program(project, program)
    for log in project.server.glob("*.log"):
        log.unlink()
    shutil.rmtree(project.server / "tmp", ignore_errors=True)  # unfinished downloads of a crashed server
    secrets = read_or_make_secrets(project)
    login = read_or_make_login(project, address(port))
    database, *seaweedfs = free_ports(1 + NUM_PORTS)
    yield postgres_service(project, secrets.database, database)
    yield seaweedfs_service(project, secrets, seaweedfs)
    yield mlflow_service(project, port, login, secrets, postgres_port=database, s3_port=seaweedfs[0])
