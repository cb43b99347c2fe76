"""The next command ends orphaned runs and no others."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from piecewise.cli import main
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder, all_runs
from piecewise.journal.writer import Journal, end_journals
from piecewise.processes import this_process
from piecewise.project import Project
from piecewise.tracking.mirror.mirror import Mirror
from piecewise.tracking.mirror.states import STALE_SECONDS, is_abandoned
from piecewise.tracking.store.addresses import EMBEDDED
from piecewise.tracking.store.open import open_store
from piecewise.tracking.sync.orphans import end_runs
from piecewise.tracking.tags import HEARTBEAT, PROCESS, RUN_ID

GONE = this_process().as_dict() | {"started": 1}
ELSEWHERE = this_process().as_dict() | {"host": "elsewhere"}


def begin(place: Path, process: dict[str, Any], **facts: Any) -> RunFolder:
    folder = RunFolder.at(place)
    with Journal(folder.journal) as journal:
        journal.start(id=place.name, name="x", title=place.name, process=process, **facts)
        journal.metrics(1, {"train/nll": 1.0})
    return folder


def statuses(client: Any) -> dict[str, str]:
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return {run.info.run_name: run.info.status for run in client.search_runs(ids)}


def test_only_orphaned_runs_are_ended(project: Project) -> None:
    runs = {
        name: begin(project / "runs" / name, process)
        for name, process in {"gone": GONE, "here": this_process().as_dict(), "elsewhere": ELSEWHERE}.items()
    }
    with Journal(begin(project / "runs" / "written", GONE).journal):  # another process is writing to it
        assert [folder.journal.parent.name for folder in end_journals(project)] == ["gone"]
    record = read_journal(runs["gone"].journal)
    assert record is not None
    assert record.end is not None
    assert (record.end.status, record.end.reason) == ("KILLED", "its process is gone")
    assert [read_journal(runs[name].journal).end for name in ("here", "elsewhere")] == [None, None]  # type: ignore[union-attr]
    assert [folder.journal.parent.name for folder in end_journals(project)] == ["written"]
    assert end_journals(project) == []


def test_a_resumed_run_is_judged_by_the_process_that_resumed_it(project: Project) -> None:
    folder = begin(project / "runs" / "one", GONE)
    with Journal(folder.journal) as journal:
        journal.resume(process=this_process().as_dict())
    assert end_journals(project) == []


def test_a_damaged_journal_does_not_stop_the_others(project: Project) -> None:
    damaged = begin(project / "runs" / "damaged", GONE).journal
    damaged.write_bytes(b"x" + damaged.read_bytes())
    begin(project / "runs" / "gone", GONE)
    assert [folder.journal.parent.name for folder in end_journals(project)] == ["gone"]


def test_ending_a_run_reports_a_torn_line(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    journal = begin(project / "runs" / "one", GONE).journal
    with journal.open("ab") as file:
        file.write(b'0123abcd {"kind":"metr')
    assert main(["list"]) == 0
    assert (
        capsys.readouterr().err == f"warning: {journal}: its last line was torn off by a crash; all before it is kept\n"
    )
    record = read_journal(journal)
    assert record is not None
    assert record.history() == {"train/nll": [(1, 1.0)]}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("empty_store")
def test_sync_ends_orphaned_runs_in_the_store(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    mirror = Mirror(open_store(EMBEDDED, project), project)
    begin(project / "runs" / "sweep", GONE, num_jobs=2)
    begin(project / "runs" / "sweep" / "0000", GONE, parent="sweep")
    for folder in (RunFolder.at(project / "runs" / "sweep"), RunFolder.at(project / "runs" / "sweep" / "0000")):
        assert mirror.push_live(folder) is False
    lost = begin(project / "runs" / "lost", GONE)
    mirror.push_live(lost)
    lost.journal.unlink()
    assert set(statuses(mirror.client).values()) == {"RUNNING"}
    assert main(["sync"]) == 0
    assert statuses(mirror.client) == {"sweep": "KILLED", "0000": "KILLED", "lost": "KILLED"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("empty_store")
def test_every_command_ends_orphaned_runs_without_mlflow(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = Mirror(open_store(EMBEDDED, project), project)
    begin(project / "runs" / "sweep", GONE, num_jobs=2)
    for name, process in {"sweep/0000": GONE, "lost": GONE, "live": this_process().as_dict(), "over": GONE}.items():
        begin(project / "runs" / name, process, **({"parent": "sweep"} if "/" in name else {}))
    for folder in all_runs(project):
        mirror.push_live(folder)
    with Journal(project / "runs" / "over" / "journal.jsonl") as journal:
        journal.end("FAILED")  # its mirror was killed before it sent this
    (project / "runs" / "lost" / "journal.jsonl").unlink()
    assert set(statuses(mirror.client).values()) == {"RUNNING"}
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "mlflow", None)  # importing it fails now
        assert main(["list"]) == 0
    expected = dict.fromkeys(("sweep", "0000", "lost"), "KILLED") | {"live": "RUNNING", "over": "FAILED"}
    assert statuses(mirror.client) == expected
    record = read_journal(project / "runs" / "over" / "journal.jsonl")
    assert record is not None
    assert record.end is not None
    (run,) = mirror.client.search_runs(["1"], "attributes.status = 'FAILED'")
    assert run.info.end_time == int(record.end.time * 1000)


@pytest.mark.parametrize("content", [None, b"no database" * 1000])
def test_a_store_that_cannot_be_used_stops_no_command(project: Project, content: bytes | None) -> None:
    folder = begin(project / "runs" / "gone", GONE)
    if content is not None:
        (project / "mlflow.db").write_bytes(content)
    assert main(["list"]) == 0
    record = read_journal(folder.journal)
    assert record is not None
    assert record.end is not None
    assert (project / "mlflow.db").exists() is (content is not None)


@pytest.mark.parametrize(
    ("process", "age", "expected"),
    [
        (GONE, 0.0, True),
        (this_process().as_dict(), 10 * STALE_SECONDS, False),  # on this machine, only the process counts
        (ELSEWHERE, STALE_SECONDS / 2, False),
        (ELSEWHERE, STALE_SECONDS * 2, True),
        ({}, STALE_SECONDS * 2, True),
    ],
)
def test_a_run_elsewhere_is_judged_by_its_heartbeat(process: dict[str, Any], age: float, expected: bool) -> None:
    tags = {PROCESS: json.dumps(process), HEARTBEAT: str(int(time.time() - age))}
    assert is_abandoned(tags) is expected
    assert not is_abandoned({PROCESS: json.dumps(ELSEWHERE)})  # no heartbeat: unknown


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("empty_store")
def test_an_abandoned_run_of_another_project_ends_at_its_last_heartbeat(project: Project) -> None:
    client = open_store(EMBEDDED, project)
    experiment = client.create_experiment("x")
    runs = [
        client.create_run(experiment, tags={RUN_ID: str(pid), PROCESS: json.dumps(process), HEARTBEAT: "1234"})
        for pid, process in enumerate((GONE, this_process().as_dict()))
    ]
    end_runs(client, project)
    gone, here = (client.get_run(run.info.run_id).info for run in runs)
    assert (gone.status, gone.end_time) == ("KILLED", 1_234_000)
    assert (here.status, here.end_time) == ("RUNNING", None)
