"""The embedded store, verified: its artifacts by their recorded digests, its database by SQLite."""

import sqlite3
from pathlib import Path

from piecewise.health.findings import HashReport, removal
from piecewise.health.store import read_store
from piecewise.manifest import AlteredManifest
from piecewise.project import STORE, Project
from piecewise.tracking.mirror.artifact_digests import FOLDER, read_artifacts
from piecewise.tracking.store.embedded import QUICK_CHECK, REBUILD


def check_artifacts(project: Project) -> HashReport:
    """Hash the figures, configurations and models that the mirror copied to the store."""
    report = HashReport("artifacts", project)
    for manifest in sorted((project / FOLDER).glob("*.json")):
        report.digest(manifest)
        try:
            recorded = read_artifacts(manifest)
        except AlteredManifest:
            remedy = f"{removal(report.name(manifest))}; piecewise sync records its run's artifacts anew"
            report.add_fault(manifest, "was altered", remedy)
            continue
        for name, digest in recorded.items():
            _check(report, project / name, digest, manifest)
    report.note_unhashed(project.artifacts, "in no run's record")
    return report


def _check(report: HashReport, path: Path, digest: str, manifest: Path) -> None:
    if not path.is_file():
        remedy = f"piecewise sync; if its run was deleted on purpose, {removal(report.name(manifest))}"
        report.add_fault(path, "is missing", remedy)
        return
    found = report.digest(path)
    if found != digest:
        what = "was altered" if found else "cannot be read"
        report.add_fault(path, what, f"{removal(report.name(path))}; piecewise sync")


def check_store(project: Project) -> HashReport:
    """SQLite's own check. The database has no digest: it changes with every run, and journals can rebuild it."""
    report = HashReport("MLflow store", project)
    if not project.store.is_file():
        return report
    try:
        (verdict,) = read_store(project, lambda store: store.execute(QUICK_CHECK).fetchone())
    except sqlite3.OperationalError as error:  # another process writes
        report.notes.append(f"{STORE}: {error}, not verified")
        return report
    except sqlite3.DatabaseError as error:
        verdict = str(error)
    if verdict != "ok":
        report.add_fault(project.store, " ".join(verdict.split()), f"{REBUILD} makes it again from the journals")
    return report
