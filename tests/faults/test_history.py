"""Long histories sent over a bad network are complete in the server's database."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder
from piecewise.journal.writer import Journal
from piecewise.project import Project
from piecewise.tracking.sync.sync_runs import open_mirror, push_all
from servers import Proxy, RealServer, drops_replies

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
KEYS = ("train/nll", "train/squared_error", "val/nll", "val/squared_error")


def write_long_run(folder: RunFolder, piecewise_id: str, address: str, plan: Callable[..., list[Job]]) -> None:
    """Write a journal with 2,600 steps of four metrics; a resume after a crash repeats 100 of the steps."""
    (job,) = plan("tracking=server", f"tracking.uri={address}")
    job.write(folder.job)
    rng = random.Random(piecewise_id)
    measured = [{key: rng.gauss(0, 1) * 10.0 ** rng.randrange(-30, 30) for key in KEYS} for _ in range(2600)]
    with Journal(folder.journal) as journal:
        journal.start(id=piecewise_id, name="long", title=piecewise_id, config=job.frozen)
        for step, values in enumerate(measured[:1500]):
            journal.metrics(step, values)
        journal.resume()
        for step, values in enumerate(measured[1400:], 1400):
            journal.metrics(step, values)
        journal.end("FINISHED")


def points_in_journal(path: Path) -> list[tuple[str, int, float, int]]:
    """Key, step, value and time of each point, parsed without piecewise. Of a repeated point the first counts."""
    points: dict[tuple[str, int], tuple[float, int]] = {}
    for line in path.read_text().splitlines():
        record = json.loads(line.partition(" ")[2])
        for key, value in record.get("values", {}).items():
            points.setdefault((key, record["step"]), (value, int(record["time"] * 1000)))
    return sorted((key, step, value, time) for (key, step), (value, time) in points.items())


def test_twenty_thousand_points_are_in_the_database_as_in_the_journals(
    project: Project, real: RealServer, proxy: Proxy, plan: Callable[..., list[Job]]
) -> None:
    """Key, step, value and time are equal, although the network loses one reply in seven at random."""
    folders = [RunFolder.at(project / "runs" / str(number)) for number in range(2)]
    for number, folder in enumerate(folders):
        write_long_run(folder, f"long {number}", proxy.address, plan)
    proxy.behaviour = drops_replies(random.Random(0), 0.15)
    assert push_all(proxy.address, folders, partial(open_mirror, proxy.address)).problems == []
    query = """SELECT metrics.key, step, metrics.value, timestamp FROM metrics JOIN tags USING (run_uuid)
        WHERE tags.key = 'piecewise.run_id' AND tags.value = ?"""
    count = 0
    with closing(sqlite3.connect(real.place / "server.db")) as store:
        for number, folder in enumerate(folders):
            expected = points_in_journal(folder.journal)
            assert sorted(store.execute(query, (f"long {number}",))) == expected
            count += len(expected)
    assert count == 20_800
