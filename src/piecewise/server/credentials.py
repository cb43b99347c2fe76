"""The passwords and keys of one server: random, made at its first start, readable by their owner alone."""

import json
import secrets
from pathlib import Path
from typing import NamedTuple

from piecewise.durable import write_private
from piecewise.errors import BadInput
from piecewise.project import Project
from piecewise.tracking.store import credentials

USER = "admin"
NUM_BYTES = 32


class Secrets(NamedTuple):
    """What the services log in to each other with."""

    database: str
    session: str
    s3_access: str
    s3_secret: str
    volume: str
    volume_read: str
    filer: str
    filer_read: str


class Login(NamedTuple):
    """What a person logs in to MLflow with."""

    username: str
    password: str


def secrets_file(project: Project) -> Path:
    return project.server / "secrets.json"


def read_or_make_secrets(project: Project) -> Secrets:
    """Raises BadInput if the file is damaged: new secrets would not fit the database."""
    path = secrets_file(project)
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = Secrets(*(secrets.token_hex(NUM_BYTES) for _ in Secrets._fields))
        write_private(path, json.dumps(made._asdict()) + "\n")
    try:
        content = json.loads(path.read_text("utf-8"))
        return Secrets(*(str(content[name]) for name in Secrets._fields))
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path} is damaged ({type(error).__name__}); allowed: what piecewise server wrote") from error


def read_or_make_login(project: Project, uri: str) -> Login:
    """The first user's login. Its file also holds `uri`: the login is sent to no other address."""
    known = credentials.read(project) or {"username": USER, "password": secrets.token_hex(NUM_BYTES)}
    if known.get("uri") != uri:
        write_private(project / credentials.FILE, json.dumps(known | {"uri": uri}, indent=1) + "\n")
    return Login(known["username"], known["password"])
