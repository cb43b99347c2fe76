"""What a push asks of the store: as little as MLflow allows, and nothing for a run that was sent whole."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from many_runs import make_runs
from piecewise.durable import append_record, open_records, read_records, write_json
from piecewise.journal.run_folder import RunFolder
from piecewise.journal.writer import Journal
from piecewise.manifest import MANIFEST
from piecewise.project import Project
from piecewise.tracking.mirror.lookup import find_runs
from piecewise.tracking.mirror.mirror import Mirror
from piecewise.tracking.store import runs_by_sql
from piecewise.tracking.store.addresses import EMBEDDED
from piecewise.tracking.store.open import open_store
from piecewise.tracking.sync.sync_runs import push_all
from stored_runs import runs_at

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("restore_tracking_uri")]
# One request each: the run; its points, parameters and tags; its state; its data sets; that it is whole.
NEW_RUN = {"create_run": 1, "log_batch": 1, "set_terminated": 1, "log_inputs": 1, "set_tag": 1}


class Counting:
    """A client that counts its calls."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.client, name)
        if not callable(value):
            return value

        def call(*arguments: Any, **options: Any) -> Any:
            self.calls[name] += 1
            return value(*arguments, **options)

        return call


@pytest.fixture
def client(project: Project, empty_store: None) -> Counting:
    counting = Counting(open_store(EMBEDDED, project))
    counting.search_experiments()
    counting.calls.clear()
    return counting


@pytest.fixture
def mirror(client: Counting, project: Project) -> Mirror:
    found: Any = client
    return Mirror(found, project)


@pytest.fixture
def sweep(project: Project, made_run: Path) -> list[RunFolder]:
    """A sweep of five finished and evaluated jobs without figures, after its own folder."""
    parent = RunFolder.at(project.runs / "sweep")
    with Journal(parent.journal) as journal:
        journal.start(id="sweep", name="curve_1d-shallow", title="sweep", num_jobs=5)
        journal.end("FINISHED", best=["job 3"])
    jobs = [RunFolder.at(Path(shutil.copytree(made_run, project.runs / "sweep" / f"000{n}"))) for n in range(5)]
    for number, job in enumerate(jobs):
        shutil.rmtree(job.figures)
        rename(job.journal, id=f"job {number}", title=f"job {number}", parent="sweep")
        write_json(job.sealed / MANIFEST, {})
    return [parent, *jobs]


def rename(path: Path, **facts: str) -> None:
    """Write the journal again with other facts in its first record."""
    first, *rest = read_records(path)
    path.unlink()
    with open_records(path) as file:
        for record in (first | facts, *rest):
            append_record(file, record)


def test_a_new_run_takes_five_requests(mirror: Mirror, client: Counting, sweep: list[RunFolder]) -> None:
    mirror.push_live(sweep[0])
    mirror.push_live(sweep[1])
    client.calls.clear()
    assert mirror.push_live(sweep[2]) is True
    assert client.calls == NEW_RUN
    assert [run.info.status for run in runs_at(client)] == ["FINISHED"] * 3


def test_what_was_sent_whole_is_asked_for_once_for_all(
    mirror: Mirror, client: Counting, sweep: list[RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in sweep:
        assert mirror.push_live(folder) is True
    asked: list[int] = []
    stored_runs = runs_by_sql.stored_runs
    monkeypatch.setattr(
        "piecewise.tracking.mirror.lookup.stored_runs", lambda uri, ids: asked.append(len(ids)) or stored_runs(uri, ids)
    )
    client.calls.clear()
    assert mirror.complete(sweep) == {sweep[n] for n in (1, 2, 3, 5)}  # job 3 is the best, and lacks its model
    assert (asked, client.calls) == ([4], {})
    done = push_all(EMBEDDED, sweep, lambda: mirror)
    assert done.updated == ["job 3: 0 points, 0 files, its model"]
    assert done.num_done == 6
    assert mirror.complete(sweep) == set(sweep[1:])


def test_a_run_that_changed_or_is_gone_is_not_complete(
    mirror: Mirror, client: Counting, sweep: list[RunFolder], project: Project
) -> None:
    for folder in sweep:
        mirror.push_live(folder)
    ids = {run.info.run_name: run.info.run_id for run in runs_at(client)}
    with Journal(sweep[1].journal) as journal:
        journal.resume()
    sweep[2].figures.mkdir()  # it was drawn
    client.update_run(ids["job 2"], "RUNNING")  # by a late heartbeat of another process
    client.delete_run(ids["job 4"])  # by a person: it stays deleted
    assert mirror.complete(sweep) == {sweep[5]}
    assert Mirror(mirror.client, project).complete(sweep) == set()  # another process has sent nothing


def test_all_runs_are_found_with_one_query_that_reads_no_other_run(mirror: Mirror, project: Project) -> None:
    journals = make_runs(project.runs, 10, sweeps_of=5)
    for path in journals:
        mirror.push(RunFolder.at(path.parent))
    wanted = [f"job-{number:06d}" for number in range(0, 10, 2)]
    found = find_runs(mirror.client, [*wanted, "another"])
    assert sorted(found) == wanted
    names = {run.info.run_name: run.info.run_id for run in runs_at(mirror.client)}
    assert {key: run.run_id for key, run in found.items()} == {key: names[f"fit {key}"] for key in wanted}
    with sqlite3.connect(project.store) as store:
        plan = store.execute(f"EXPLAIN QUERY PLAN {runs_by_sql.OF_IDS}", ("[]",)).fetchall()
        running = store.execute(f"EXPLAIN QUERY PLAN {runs_by_sql.RUNNING}", ("x",)).fetchall()
    steps = [row[-1] for row in (*plan, *running)]
    others = [step for step in steps if "INDEX piecewise_run" not in step and "json_each" not in step]
    assert not [step for step in others if step.startswith("SCAN")]
    assert len(steps) - len(others) == 3


def test_a_store_without_the_indexes_gets_them(project: Project, client: Counting) -> None:
    with sqlite3.connect(project.store) as store:
        for name in ("piecewise_run_ids", "piecewise_running"):
            store.execute(f"DROP INDEX {name}")
    assert runs_by_sql.stored_runs(client.tracking_uri, ["x"]) is None  # MLflow's own search finds it
    open_store(EMBEDDED, project)
    with sqlite3.connect(project.store) as store:
        names = store.execute("SELECT name FROM sqlite_master WHERE name LIKE 'piecewise%'").fetchall()
    assert len(names) == 2
