"""A server: PostgreSQL, SeaweedFS and MLflow, on ports of this machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from piecewise.server.credentials import inner_secrets, user_and_password
from piecewise.server.objects import NUM_PORTS, objects
from piecewise.server.pages import pages
from piecewise.server.places import FOLDER, own_program
from piecewise.server.ports import HOST, free_ports
from piecewise.server.postgres import postgres
from piecewise.server.service import Service


def address(port: int) -> str:
    return f"http://{HOST}:{port}"


def parts(root: Path, port: int) -> Iterator[Service]:
    """In the order in which they need each other. Raises BadInput, before the first, if a program is missing."""
    for program in ("mlflow", "weed"):
        own_program(root, program)
    for log in (root / FOLDER).glob("*.log"):
        log.unlink()
    shutil.rmtree(root / FOLDER / "tmp", ignore_errors=True)  # downloads that a crash has left
    secrets = inner_secrets(root)
    user, password = user_and_password(root, address(port))
    database, *others = free_ports(1 + NUM_PORTS)
    yield postgres(root, secrets["database"], database)
    yield objects(root, secrets, others)
    yield pages(root, user, password, secrets, {"pages": port, "database": database, "objects": others[0]})
