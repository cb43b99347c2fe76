"""The passwords and keys of one server: random, made the first time, in files that only their owner can read."""

from __future__ import annotations

import json
import secrets

from piecewise.errors import BadInput
from piecewise.project import Project
from piecewise.server.places import FOLDER, write_private
from piecewise.tracking.store import credentials

USER = "admin"
INNER = FOLDER / "secrets.json"  # what no person ever types
NAMES = ("database", "session", "s3_access", "s3_secret", "volume", "volume_read", "filer", "filer_read")
NUM_BYTES = 32


def inner_secrets(project: Project) -> dict[str, str]:
    """By name. Raises BadInput if the file is damaged: new ones would not fit the database."""
    path = project / INNER
    if not path.exists():
        write_private(path, json.dumps({name: secrets.token_hex(NUM_BYTES) for name in NAMES}) + "\n")
    try:
        known = json.loads(path.read_text())
        return {name: str(known[name]) for name in NAMES}
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path} is damaged ({type(error).__name__}); allowed: what piecewise server wrote") from error


def user_and_password(project: Project, uri: str) -> tuple[str, str]:
    """Whom people log in as. The file also says at which address, so that they are sent to no other."""
    known = credentials.read(project) or {"username": USER, "password": secrets.token_hex(NUM_BYTES)}
    if known.get("uri") != uri:
        write_private(project / credentials.FILE, json.dumps(known | {"uri": uri}, indent=1) + "\n")
    return known["username"], known["password"]
