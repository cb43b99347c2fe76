"""Stored addresses of a project that was moved or copied: MLflow keeps absolute ones."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from piecewise.project import Project
from piecewise.tracking.store.addresses import local_path

ARTIFACTS = "mlartifacts"
# Every column of MLflow's that can hold one. A test compares this with the schema of the installed MLflow.
ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("trace_tags", "value"),
)


def re_root(store: sqlite3.Connection, project: Project) -> int:
    """Let every address of what lies in `root` now begin there, in one transaction; returns how many did not."""
    roots = moved_roots(store, project)
    if not roots:
        return 0
    with store:  # takes back everything if anything fails
        store.execute("BEGIN IMMEDIATE")
        return sum(_re_root_column(store, table, column, roots, project) for table, column in ADDRESSES)


def moved_roots(store: sqlite3.Connection, project: Project) -> list[Path]:
    """Where the project was when its experiments were made, other than at `root`.

    An experiment's own place says so without a doubt, as its end is known: the root itself may have any name.
    """
    found = dict.fromkeys(
        old
        for number, name, address in store.execute("SELECT experiment_id, name, artifact_location FROM experiments")
        for old in _root_of(address, str(number), name)
    )
    return [old for old in found if not (old.exists() and old.samefile(project))]


def new_address(address: str | None, roots: list[Path], project: Project) -> str | None:
    """The address after the move, written as it was; None if it is not below the artifacts of one of `roots`."""
    place = local_path(address) if address else None
    for old in roots:
        if address is not None and place is not None and place.is_relative_to(old / ARTIFACTS):
            moved = project.root.absolute() / place.relative_to(old)
            return moved.as_uri() if address.startswith("file:") else str(moved)
    return None


def _root_of(address: str | None, number: str, name: str) -> Iterator[Path]:
    """The root above the place of an experiment: the mirror names it so, and MLflow does, the one it begins with."""
    place = local_path(address) if address else None
    ends = [Path(ARTIFACTS, name), Path(ARTIFACTS, number), *([Path("mlruns", number)] if number == "0" else [])]
    for end in ends:
        length = len(end.parts)
        if place is not None and place.is_absolute() and place.parts[-length:] == end.parts:
            yield Path(*place.parts[:-length])
            return


def _re_root_column(store: sqlite3.Connection, table: str, column: str, roots: list[Path], project: Project) -> int:
    addresses = [address for (address,) in store.execute(f"SELECT DISTINCT {column} FROM {table}")]
    pairs = [(new_address(address, roots, project), address) for address in addresses]
    changed = [(new, old) for new, old in pairs if new is not None]
    return store.executemany(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", changed).rowcount if changed else 0
