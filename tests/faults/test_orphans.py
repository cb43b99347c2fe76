"""After a training is killed, the next command of any kind marks its run as KILLED in journal and store."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from killed_training import signal_after_steps, start
from piecewise.cli import main
from piecewise.jobs.job import Job
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project
from piecewise.tracking.mirror.mirror import Mirror
from piecewise.tracking.store.addresses import EMBEDDED
from piecewise.tracking.store.open import open_store
from small_project import TINY
from trials import Trials

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def statuses(project: Project) -> dict[str, str]:
    """Each run's status in the store, by piecewise's id of the run."""
    query = "SELECT value, status FROM runs JOIN tags USING (run_uuid) WHERE key = 'piecewise.run_id'"
    with closing(sqlite3.connect(project / "mlflow.db")) as store:
        return dict(store.execute(query))


def test_no_run_is_running_after_its_process_is_gone(
    project: Project, plan: Callable[..., list[Job]], trials: Trials
) -> None:
    (job,) = plan(*TINY, "trainer.max_epochs=1000")
    mirror = Mirror(open_store(EMBEDDED, project), project)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        commands = [(0, "list"), (0, "clean"), (0, "sync"), (0, "show", *TINY), (0, "train", *TINY)]
        commands += [(2, "ui", "--port", port), (2, "resume", "absent")]
        for number, rng in enumerate(trials("trainings killed, then any command: none is left running", 50)):
            folder = RunFolder.at(project / "runs" / str(number))
            signal_after_steps(start(job, folder, is_resumed=False), folder, rng, most=30)
            record = read_journal(folder.journal)
            assert record is not None
            mirror.push_live(folder)
            assert statuses(project)[record.start.id] == "RUNNING"
            code, *words = rng.choice(commands)
            assert main(words) == code, words
            record = read_journal(folder.journal)
            assert record is not None
            assert record.end is not None, words
            assert (record.end.status, record.end.reason) == ("KILLED", "its process is gone")
            assert statuses(project)[record.start.id] == "KILLED", words
            assert "RUNNING" not in statuses(project).values()
