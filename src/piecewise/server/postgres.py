"""PostgreSQL, as a cluster of the server's own: never the system's."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

from piecewise.errors import BadInput, PiecewiseError
from piecewise.project import Project
from piecewise.server.places import FOLDER, postgres_program
from piecewise.server.ports import HOST
from piecewise.server.service import Service, as_user

NAME = "mlflow"  # the role, which is no superuser, and its database
SYSTEM_USER = "postgres"  # root hands the cluster to it: PostgreSQL refuses to run as root
INITDB = ("--username=postgres", "--auth=reject", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums")
WHO_MAY_ENTER = f"host {NAME} {NAME} {HOST}/32 scram-sha-256\n"  # and nobody else, the superuser neither


def postgres(project: Project, password: str, port: int) -> Service:
    """Makes the cluster the first time. The role's password is set anew at each start, while nobody is served."""
    user = SYSTEM_USER if os.geteuid() == 0 else None
    folder = cluster(project, user)
    data = folder / "data"
    is_new = not data.exists()
    if is_new:
        initialise(folder, user)
    statements = [f"CREATE ROLE {NAME} LOGIN", f"CREATE DATABASE {NAME} OWNER {NAME}"] if is_new else []
    place = folder / "new" if is_new else data
    if not (data / "postmaster.pid").exists():
        alone(place, [*statements, f"ALTER ROLE {NAME} PASSWORD '{password}'"], user)
    if is_new:
        place.rename(data)  # now it is whole
    is_ready = [postgres_program("pg_isready"), "--quiet", f"--host={HOST}", f"--port={port}"]
    return Service(
        "PostgreSQL",
        command(data, port),
        folder,
        project / FOLDER / "postgres.log",
        lambda: subprocess.run(is_ready, check=False).returncode == 0,
        stop_signal=signal.SIGINT,  # a "fast" shutdown, which waits for no client
        user=user,
    )


def command(data: Path, port: int) -> list[str]:
    """No socket: its address could be longer than the 107 bytes that are allowed."""
    settings = {"listen_addresses": HOST, "port": port, "unix_socket_directories": "", "logging_collector": "off"}
    return [_server_of(data), "-D", str(data), *(f"--{key}={value}" for key, value in settings.items())]


def cluster(project: Project, user: str | None) -> Path:
    """Its folder. For root it lies at PostgreSQL's home, by a link: its user may not enter a private checkout."""
    link = project / FOLDER / "database"
    if user is None:
        link.mkdir(parents=True, exist_ok=True)
        return link
    if not link.is_symlink():
        home = Path(_entry(user).pw_dir)
        link.symlink_to(home / f"piecewise-{secrets.token_hex(4)}")
    folder = link.readlink()
    folder.mkdir(mode=0o700, exist_ok=True)
    shutil.chown(folder, user, _entry(user).pw_gid)
    return folder


def initialise(folder: Path, user: str | None) -> None:
    """Aside, in `new`, so that a half-made cluster is never taken for one."""
    shutil.rmtree(folder / "new", ignore_errors=True)
    _run([postgres_program("initdb"), f"--pgdata={folder / 'new'}", *INITDB], folder, user)
    (folder / "new" / "pg_hba.conf").write_text(WHO_MAY_ENTER)


def alone(data: Path, statements: list[str], user: str | None) -> None:
    """Run statements while no server runs, through standard input: a password is in no command line and no log."""
    _run([_server_of(data), "--single", "-D", str(data), "postgres"], data, user, "\n".join(statements))


def _server_of(data: Path) -> str:
    """No other version can read a cluster than the one that has made it."""
    made_by = data / "PG_VERSION"
    return postgres_program("postgres", made_by.read_text().strip() if made_by.exists() else "*")


def _run(words: list[str], folder: Path, user: str | None, text: str = "") -> None:
    done = subprocess.run(words, input=text, cwd=folder, capture_output=True, text=True, check=False, **as_user(user))
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise PiecewiseError(f"{Path(words[0]).name} ended with {done.returncode}: {reason}")


def _entry(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(user)
    except KeyError as error:
        raise BadInput(f"root cannot run PostgreSQL without a user {user}; apt-get install postgresql") from error
