"""The embedded store: its artifacts against the digests the mirror left, its database as far as SQLite can tell."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from piecewise.health.hash_report import HashReport, removal
from piecewise.health.store import look
from piecewise.manifest import AlteredManifest
from piecewise.project import STORE, Project
from piecewise.tracking.mirror.artifact_digests import FOLDER, read_artifacts
from piecewise.tracking.store.embedded import QUICK_CHECK, REBUILD


def check_artifacts(project: Project) -> HashReport:
    """Figures, configurations and models, as the mirror brought them."""
    report = HashReport("artifacts", project)
    for manifest in sorted((project / FOLDER).glob("*.json")):
        report.digest(manifest)
        try:
            recorded = read_artifacts(manifest)
        except AlteredManifest:
            remedy = f"{removal(report.name(manifest))}; piecewise sync records its run's artifacts as they are"
            report.fault(manifest, "was altered", remedy)
            continue
        for name, digest in recorded.items():
            _check(report, project / name, digest, manifest)
    report.note_rest("mlartifacts", "in no run's record")
    return report


def _check(report: HashReport, path: Path, digest: str, manifest: Path) -> None:
    if not path.is_file():
        remedy = f"piecewise sync; if its run was deleted on purpose, {removal(report.name(manifest))}"
        report.fault(path, "is missing", remedy)
        return
    found = report.digest(path)
    if found != digest:
        what = "was altered" if found else "cannot be read"
        report.fault(path, what, f"{removal(report.name(path))}; piecewise sync")


def check_store(project: Project) -> HashReport:
    """Not hashed: the database changes with every run, and the journals make it again."""
    report = HashReport("MLflow store", project)
    if not project.store.is_file():
        return report
    try:
        (sound,) = look(project, lambda store: store.execute(QUICK_CHECK).fetchone())
    except sqlite3.OperationalError as error:  # in use
        report.notes.append(f"{STORE}: {error}, not verified")
        return report
    except sqlite3.DatabaseError as error:
        sound = str(error)
    if sound != "ok":
        report.fault(project.store, " ".join(sound.split()), f"{REBUILD} makes it again from the journals")
    return report
