"""PostgreSQL with a cluster of the server's own, never the system's."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

from piecewise.errors import BadInput
from piecewise.project import Project
from piecewise.server.service import HOST, Service, postgres_program, run

NAME = "mlflow"  # the database and the role that owns it, which is no superuser
SYSTEM_USER = "postgres"  # owns the cluster if root runs the server: PostgreSQL refuses to run as root
INITDB = ("--username=postgres", "--auth=reject", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums")
PG_HBA = f"host {NAME} {NAME} {HOST}/32 scram-sha-256\n"  # who may connect: only this role, not even the superuser


def postgres_service(project: Project, password: str, port: int) -> Service:
    """Make the cluster at the first start. Set the role's password at each start, before PostgreSQL listens."""
    user = SYSTEM_USER if os.geteuid() == 0 else None
    folder = cluster_folder(project, user)
    data, new = folder / "data", folder / "new"
    if not data.exists():
        initialise(new, user)
        create = [f"CREATE ROLE {NAME} LOGIN", f"CREATE DATABASE {NAME} OWNER {NAME}"]
        run_offline(new, [*create, _set_password(password)], user)
        new.rename(data)  # only a whole cluster has this name
    elif not (data / "postmaster.pid").exists():
        run_offline(data, [_set_password(password)], user)
    is_ready = [postgres_program("pg_isready"), "--quiet", f"--host={HOST}", f"--port={port}"]
    return Service(
        "PostgreSQL",
        command(data, port),
        folder,
        project.server / "postgres.log",
        lambda: subprocess.run(is_ready, check=False).returncode == 0,
        stop_signal=signal.SIGINT,  # a "fast" shutdown, which waits for no client
        user=user,
    )


def command(data: Path, port: int) -> list[str]:
    """PostgreSQL's command line, without a Unix socket: its path could exceed the limit of 107 bytes."""
    settings = {"listen_addresses": HOST, "port": port, "unix_socket_directories": "", "logging_collector": "off"}
    return [_postgres_of(data), "-D", str(data), *(f"--{key}={value}" for key, value in settings.items())]


def cluster_folder(project: Project, user: str | None) -> Path:
    """The cluster's folder. With a `user` it lies in that user's home, behind a link: the checkout may be private."""
    link = project.server / "database"
    if user is None:
        link.mkdir(parents=True, exist_ok=True)
        return link
    if not link.is_symlink():
        home = Path(_account(user).pw_dir)
        link.symlink_to(home / f"piecewise-{secrets.token_hex(4)}")
    folder = link.readlink()
    folder.mkdir(mode=0o700, exist_ok=True)
    shutil.chown(folder, user, _account(user).pw_gid)
    return folder


def initialise(data: Path, user: str | None) -> None:
    """Make an empty cluster in `data`, and remove what a crash has left there."""
    shutil.rmtree(data, ignore_errors=True)
    run([postgres_program("initdb"), f"--pgdata={data}", *INITDB], data.parent, user)
    (data / "pg_hba.conf").write_text(PG_HBA, "utf-8")


def run_offline(data: Path, statements: list[str], user: str | None) -> None:
    """Run SQL in single-user mode, through standard input: no command line and no log holds a password."""
    run([_postgres_of(data), "--single", "-D", str(data), "postgres"], data, user, "\n".join(statements))


def _set_password(password: str) -> str:
    return f"ALTER ROLE {NAME} PASSWORD '{password}'"


def _postgres_of(data: Path) -> str:
    """The version that made the cluster: no other version can read it."""
    version = data / "PG_VERSION"
    return postgres_program("postgres", version.read_text("utf-8").strip() if version.exists() else "*")


def _account(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(user)
    except KeyError as error:
        raise BadInput(f"root cannot run PostgreSQL without a user {user}; apt-get install postgresql") from error
