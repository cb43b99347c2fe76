"""The embedded store: its artifacts against the digests the mirror left, its database as far as SQLite can tell."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from piecewise.health.rehashed import Rehashed, removal
from piecewise.health.store import look
from piecewise.manifest import AlteredManifest
from piecewise.project import STORE, Project
from piecewise.tracking.mirror.artifact_digests import FOLDER, read_artifacts
from piecewise.tracking.store.embedded import QUICK_CHECK, REBUILD


def check_artifacts(project: Project) -> Rehashed:
    """Figures, configurations and models, as the mirror brought them."""
    rehashed = Rehashed("artifacts", project)
    for manifest in sorted((project / FOLDER).glob("*.json")):
        rehashed.digest(manifest)
        try:
            recorded = read_artifacts(manifest)
        except AlteredManifest:
            remedy = f"{removal(rehashed.name(manifest))}; piecewise sync records its run's artifacts as they are"
            rehashed.fault(manifest, "was altered", remedy)
            continue
        for name, digest in recorded.items():
            _check(rehashed, project / name, digest, manifest)
    rehashed.note_rest("mlartifacts", "in no run's record")
    return rehashed


def _check(rehashed: Rehashed, path: Path, digest: str, manifest: Path) -> None:
    if not path.is_file():
        remedy = f"piecewise sync; if its run was deleted on purpose, {removal(rehashed.name(manifest))}"
        rehashed.fault(path, "is missing", remedy)
        return
    found = rehashed.digest(path)
    if found != digest:
        what = "was altered" if found else "cannot be read"
        rehashed.fault(path, what, f"{removal(rehashed.name(path))}; piecewise sync")


def check_store(project: Project) -> Rehashed:
    """Not hashed: the database changes with every run, and the journals make it again."""
    rehashed = Rehashed("MLflow store", project)
    if not project.store.is_file():
        return rehashed
    try:
        (sound,) = look(project, lambda store: store.execute(QUICK_CHECK).fetchone())
    except sqlite3.OperationalError as error:  # in use
        rehashed.notes.append(f"{STORE}: {error}, not verified")
        return rehashed
    except sqlite3.DatabaseError as error:
        sound = str(error)
    if sound != "ok":
        rehashed.fault(project.store, " ".join(sound.split()), f"{REBUILD} makes it again from the journals")
    return rehashed
