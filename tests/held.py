"""Trainings that are held at a step while their mirror goes on: else they are over before it has opened its store."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project
from running_server import wait_for


@dataclass
class Held:
    """A command that trains, and the folder of its run or sweep."""

    process: subprocess.Popen[str]
    place: Path

    @property
    def folders(self) -> list[RunFolder]:
        """Of its runs; of a sweep the parent's first."""
        paths = sorted(self.place.rglob("journal.jsonl"), key=lambda path: (len(path.parts), path))
        return [RunFolder.at(path.parent) for path in paths]

    def hold(self, until: Callable[[], Any], what: str) -> float:
        """Nothing is trained until then; the seconds that took."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGSTOP)
        try:
            wait_for(until, what, 300)  # on busy processors a store is opened after a minute and a half
            records = [read_journal(folder.journal, with_metrics=False) for folder in self.folders]
            assert not any(record is not None and record.end for record in records), "it was over before"
        except BaseException:
            self.process.kill()
            raise
        self.process.send_signal(signal.SIGCONT)
        return time.monotonic() - begun


def begin(project: Project, *arguments: str) -> Held:
    """Start `piecewise train`, and wait until it has measured something."""
    runs = project / "runs"
    before = set(runs.glob("*/journal.jsonl"))
    words = [sys.executable, "-m", "piecewise", "train", *arguments]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def places() -> list[Path]:
        assert process.poll() is None
        new = [path.parent for path in set(runs.glob("*/journal.jsonl")) - before]
        return [place for place in new if any(b"nll" in path.read_bytes() for path in place.rglob("journal.jsonl"))]

    try:
        wait_for(places, "a training that measures")
        return Held(process, places()[0])
    except BaseException:
        process.kill()
        raise


def arrived(store: Path, folders: list[RunFolder]) -> int:
    """How many points of some runs an SQLite store of MLflow's has."""
    if not store.is_file():
        return 0
    records = [read_journal(folder.journal, with_metrics=False) for folder in folders]
    ids = [record.start.id for record in records if record is not None]
    query = f"""SELECT count(*) FROM metrics JOIN tags USING (run_uuid)
        WHERE tags.key = 'piecewise.run_id' AND tags.value IN ({", ".join("?" * len(ids))})"""
    with closing(sqlite3.connect(f"{store.resolve().as_uri()}?mode=ro", uri=True, timeout=60)) as database:
        return int(database.execute(query, ids).fetchone()[0])
