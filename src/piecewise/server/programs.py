"""The programs that a server runs: where they are installed."""

from __future__ import annotations

import shutil
from pathlib import Path

from piecewise.errors import BadInput
from piecewise.project import Project

POSTGRES = Path("/usr/lib/postgresql")  # Debian installs PostgreSQL here, outside PATH


def installed_program(project: Project, name: str) -> str:
    """A program of docker/server.lock or docker/store.lock. Raises BadInput if `make server` has not installed it."""
    path = project / ".venv" / "server" / "bin" / name
    if not path.exists():
        raise BadInput(f"{path} is missing; make server installs it")
    return str(path)


def postgres_program(name: str, version: str = "*") -> str:
    """One of PostgreSQL's programs, of its newest installed version or of `version`. Raises BadInput if none is."""
    found = sorted(POSTGRES.glob(f"{version}/bin/{name}"), key=lambda path: int(path.parts[-3]))
    program = str(found[-1]) if found else shutil.which(name)
    if program is None:
        which = name if version == "*" else f"{name}, version {version},"
        raise BadInput(f"PostgreSQL's {which} is neither below {POSTGRES} nor in PATH; apt-get install postgresql")
    return program
