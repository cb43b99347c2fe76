"""A server: PostgreSQL, SeaweedFS and MLflow, on ports of this machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from piecewise.project import Project
from piecewise.server.credentials import inner_secrets, user_and_password
from piecewise.server.objects import NUM_PORTS, objects
from piecewise.server.pages import pages
from piecewise.server.places import FOLDER, own_program
from piecewise.server.ports import HOST, free_ports
from piecewise.server.postgres import postgres
from piecewise.server.service import Service


def address(port: int) -> str:
    return f"http://{HOST}:{port}"


def parts(project: Project, port: int) -> Iterator[Service]:
    """In the order in which they need each other. Raises BadInput, before the first, if a program is missing."""
    for program in ("mlflow", "weed"):
        own_program(project, program)
    for log in (project / FOLDER).glob("*.log"):
        log.unlink()
    shutil.rmtree(project / FOLDER / "tmp", ignore_errors=True)  # downloads that a crash has left
    secrets = inner_secrets(project)
    user, password = user_and_password(project, address(port))
    database, *others = free_ports(1 + NUM_PORTS)
    yield postgres(project, secrets["database"], database)
    yield objects(project, secrets, others)
    yield pages(project, user, password, secrets, {"pages": port, "database": database, "objects": others[0]})
