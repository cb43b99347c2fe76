"""A project may lie in a folder with any name: SQLAlchemy and MLflow read some characters of an address as signs."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from piecewise.project import Project
from piecewise.tracking.store.addresses import EMBEDDED
from piecewise.tracking.store.open import open_store
from piecewise.tracking.store.schema import _upgrade

NAMES = ["a%25b", "50% off", "why?x=1", "q%3F#1", "a;b&c+d=e", 'it\'s "here"', "two\nlines", "ü"]


@pytest.mark.parametrize("name", NAMES)
def test_runs_and_artifacts_are_kept_in_a_folder_of_any_name(name: str, tmp_path: Path, built_store: Path) -> None:
    project = Project(tmp_path / name / "p")
    project.root.mkdir(parents=True)
    shutil.copy(built_store, project.store)
    client = open_store(EMBEDDED, project)
    experiment = client.create_experiment("fit", (project.artifacts / "fit").as_uri())
    run = client.create_run(experiment)
    client.log_text(run.info.run_id, "kept", "note.txt")
    (note,) = project.artifacts.rglob("note.txt")
    assert note.read_text() == "kept"
    with closing(sqlite3.connect(project.store)) as store:
        assert store.execute("SELECT run_uuid FROM runs").fetchall() == [(run.info.run_id,)]
    assert [path.name for path in tmp_path.iterdir()] == [name]  # and none named as the address writes it


def test_a_store_in_such_a_folder_is_migrated(tmp_path: Path, built_store: Path) -> None:
    place = tmp_path / "50%25 off?"
    place.mkdir()
    shutil.copy(built_store, place / "old.db")
    _upgrade(place / "old.db", "old.db")  # raises if MLflow finds no database there
    assert [path.name for path in tmp_path.iterdir()] == ["50%25 off?"]
    assert [path.name for path in place.iterdir()] == ["old.db"]
