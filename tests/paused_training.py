"""Trainings that a test can pause while their mirror goes on. Unpaused, they end before the mirror opens its store."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project
from running_server import wait_for


@dataclass
class PausableTraining:
    """A running `piecewise train`, and the folder of its run or sweep."""

    process: subprocess.Popen[str]
    place: Path

    @property
    def folders(self) -> list[RunFolder]:
        """The folders of its runs; for a sweep, the parent's comes first."""
        paths = sorted(self.place.rglob("journal.jsonl"), key=lambda path: (len(path.parts), path))
        return [RunFolder.at(path.parent) for path in paths]

    def pause_until(self, is_so: Callable[[], Any], what: str) -> float:
        """Pause the training until `is_so`. Returns the seconds of the pause."""
        begun = time.monotonic()
        self._send(signal.SIGSTOP)
        try:
            wait_for(is_so, what, 300)  # while all cores are busy, the mirror opens its store only after 90 s
            records = [read_journal(folder.journal, with_metrics=False) for folder in self.folders]
            assert not any(record is not None and record.end for record in records), "it ended before the pause"
        except BaseException:
            self.process.kill()
            raise
        self._send(signal.SIGCONT)
        return time.monotonic() - begun

    def _send(self, number: int) -> None:
        """Send a signal to the training and to all processes of its jobs, but not to the mirror."""
        trainer = psutil.Process(self.process.pid)
        for one in (trainer, *trainer.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                if "piecewise.tracking.sync.follower" not in one.cmdline():
                    one.send_signal(number)


def start_training(project: Project, *arguments: str) -> PausableTraining:
    """Start `piecewise train`, and wait until a journal has a first loss."""
    runs = project / "runs"
    before = set(runs.glob("*/journal.jsonl"))
    words = [sys.executable, "-m", "piecewise", "train", *arguments]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def places() -> list[Path]:
        assert process.poll() is None, process.communicate()[1]
        new = [path.parent for path in set(runs.glob("*/journal.jsonl")) - before]
        return [place for place in new if any(b"nll" in path.read_bytes() for path in place.rglob("journal.jsonl"))]

    try:
        wait_for(places, "a first loss")
        return PausableTraining(process, places()[0])
    except BaseException:
        process.kill()
        raise


def count_stored_points(store: Path, folders: list[RunFolder]) -> int:
    """The number of metric points that MLflow's SQLite store has of these runs."""
    if not store.is_file():
        return 0
    records = [read_journal(folder.journal, with_metrics=False) for folder in folders]
    ids = [record.start.id for record in records if record is not None]
    query = f"""SELECT count(*) FROM metrics JOIN tags USING (run_uuid)
        WHERE tags.key = 'piecewise.run_id' AND tags.value IN ({", ".join("?" * len(ids))})"""
    with closing(sqlite3.connect(f"{store.resolve().as_uri()}?mode=ro", uri=True, timeout=60)) as database:
        return int(database.execute(query, ids).fetchone()[0])
