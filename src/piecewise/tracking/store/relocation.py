"""Correcting the artifact addresses of a project that was moved or copied: MLflow stores absolute ones."""

import sqlite3
from pathlib import Path

from piecewise.journal.names import folder_name
from piecewise.project import Project
from piecewise.tracking.store.addresses import local_path
from piecewise.tracking.store.mlflow_internals import ADDRESS_COLUMNS, EXPERIMENTS

ARTIFACTS = Project().artifacts.name


def re_root(store: sqlite3.Connection, project: Project) -> None:
    """Rewrite, in one transaction, every address below the artifacts of a project's former folder."""
    roots = moved_roots(store, project)
    if not roots:
        return
    with store:  # rolls back if anything fails
        store.execute("BEGIN IMMEDIATE")
        for table, column in ADDRESS_COLUMNS:
            addresses = [address for (address,) in store.execute(f"SELECT DISTINCT {column} FROM {table}")]
            pairs = [(new_address(address, roots, project), address) for address in addresses]
            changed = [(new, old) for new, old in pairs if new is not None]
            store.executemany(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", changed)


def moved_roots(store: sqlite3.Connection, project: Project) -> list[Path]:
    """The project's former root folders.

    An experiment's location gives its root: the end of the location is known, while the root may have any name.
    """
    found = dict.fromkeys(_root_of(address, str(number), name) for number, name, address in store.execute(EXPERIMENTS))
    return [root for root in found if root is not None and not (root.exists() and root.samefile(project))]


def new_address(address: str | None, roots: list[Path], project: Project) -> str | None:
    """The corrected address, in the same form; None if it is not below the artifacts of one of `roots`."""
    path = local_path(address) if address else None
    for root in roots:
        if address is not None and path is not None and path.is_relative_to(root / ARTIFACTS):
            moved = project.root.absolute() / path.relative_to(root)
            return moved.as_uri() if address.startswith("file:") else str(moved)
    return None


def _root_of(address: str | None, number: str, name: str) -> Path | None:
    """The root that an experiment's location begins with, if it ends as the mirror or MLflow itself would end it."""
    path = local_path(address) if address else None
    ends = [Path(ARTIFACTS, part) for part in (folder_name(name), name, number)]
    for end in [*ends, *([Path("mlruns", number)] if number == "0" else [])]:
        length = len(end.parts)
        if path is not None and path.is_absolute() and path.parts[-length:] == end.parts:
            return Path(*path.parts[:-length])
    return None
