"""Where the server keeps what it has, and where the programs are that it is made of."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from piecewise.durable import write_atomic
from piecewise.errors import BadInput
from piecewise.project import Project

FOLDER = Path("runs", ".server")
POSTGRES = Path("/usr/lib/postgresql")  # where Debian has it, outside of PATH


def own_program(project: Project, name: str) -> str:
    """One of docker/server.lock or docker/store.lock. Raises BadInput if `make server` has not installed it."""
    path = project / ".venv" / "server" / "bin" / name
    if not path.exists():
        raise BadInput(f"{path} is missing; make server installs it")
    return str(path)


def postgres_program(name: str, version: str = "*") -> str:
    """The newest that is installed, of a version if one is given. Raises BadInput if there is none."""
    found = sorted(POSTGRES.glob(f"{version}/bin/{name}"), key=lambda path: int(path.parts[-3]))
    program = str(found[-1]) if found else shutil.which(name)
    if program is None:
        which = name if version == "*" else f"{name}, version {version},"
        raise BadInput(f"PostgreSQL's {which} is neither below {POSTGRES} nor in PATH; apt-get install postgresql")
    return program


def write_private(path: Path, text: str) -> None:
    """Whole or not at all, and for the eyes of this user alone from its first byte on."""
    mask = os.umask(0o077)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode())
    finally:
        os.umask(mask)
