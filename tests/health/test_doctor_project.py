from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from piecewise.health import project as checks
from piecewise.health.findings import Finding, Level
from piecewise.health.project import orphan_runs, pipeline_lock
from piecewise.journal.writer import Journal
from piecewise.processes import this_process
from piecewise.project import Project

PROCESS = "import json; from piecewise.processes import this_process; print(json.dumps(this_process().as_dict()))"


@pytest.fixture(scope="module")
def gone() -> dict[str, Any]:
    """A process that has ended."""
    done = subprocess.run([sys.executable, "-c", PROCESS], capture_output=True, text=True, check=True, timeout=60)
    process: dict[str, Any] = json.loads(done.stdout)
    return process


def write_rwlock(root: Path, text: str) -> Path:
    path = root / ".dvc" / "tmp" / "rwlock"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def rwlock_of(*pids: int) -> str:
    """DVC's lock file with one writer of a path and several readers of another."""
    infos = [{"pid": pid, "cmd": "dvc repro"} for pid in pids]
    return json.dumps({"write": {"results": infos[0]}, "read": {"data": infos[1:]}})


def test_lock_file_that_dvc_leaves_behind_is_sound(tmp_path: Path) -> None:
    assert list(pipeline_lock(Project(tmp_path))) == []
    write_rwlock(tmp_path, json.dumps({"write": {}, "read": {}}))
    assert list(pipeline_lock(Project(tmp_path))) == []


def test_lock_whose_processes_have_all_ended_is_a_note(tmp_path: Path, gone: dict[str, Any]) -> None:
    write_rwlock(tmp_path, rwlock_of(gone["pid"], 2**40))
    (finding,) = pipeline_lock(Project(tmp_path))
    assert finding.level is Level.NOTE
    assert f"({gone['pid']}, {2**40})" in finding.what


def test_lock_of_a_running_pipeline_is_sound(tmp_path: Path, gone: dict[str, Any]) -> None:
    write_rwlock(tmp_path, rwlock_of(gone["pid"], os.getpid()))
    assert list(pipeline_lock(Project(tmp_path))) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"write": {"a": {}}}', '{"read": {"a": [1]}}', '{"write": []}'])
def test_lock_file_that_dvc_refuses_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(checks, "RWLOCK_WRITE_SECONDS", 0.0)
    write_rwlock(tmp_path, text)
    (finding,) = pipeline_lock(Project(tmp_path))
    assert (finding.level, finding.remedy) == (Level.FAULT, "rm .dvc/tmp/rwlock, while no dvc command runs")


def test_lock_file_that_is_being_written_is_read_twice(tmp_path: Path) -> None:
    path = write_rwlock(tmp_path, '{"write": {')
    timer = threading.Timer(checks.RWLOCK_WRITE_SECONDS / 4, path.write_text, [rwlock_of(os.getpid())])
    timer.start()
    assert list(pipeline_lock(Project(tmp_path))) == []
    timer.join()


def record(path: Path, *kinds: str, **facts: Any) -> None:
    with Journal(path) as journal:
        journal.start(id="an id", name="shallow", title="shallow lr=1", **facts)
        for kind in kinds:
            if kind == "end":
                journal.end("KILLED")
            else:
                journal.resume(**facts)


def orphans(root: Path) -> list[Finding]:
    return list(orphan_runs(Project(root)))


def test_orphan_is_a_fault_whose_remedy_resumes_it(project: Project, gone: dict[str, Any]) -> None:
    record(project / "runs" / "one" / "journal.jsonl", process=gone)
    (finding,) = orphans(project)
    assert finding.level is Level.FAULT
    assert finding.what.startswith("shallow lr=1 (an id) has no end")
    assert finding.remedy == "piecewise resume 'an id'"


def test_orphan_of_the_pipeline_is_trained_by_its_stage(project: Project, gone: dict[str, Any]) -> None:
    record(project / "results" / "journal" / "shallow" / "lr=1.jsonl", process=gone)
    (finding,) = orphans(project)
    assert finding.remedy == "dvc repro train@shallow"


def test_child_and_parent_of_a_sweep_are_both_checked(project: Project, gone: dict[str, Any]) -> None:
    record(project / "runs" / "sweep" / "journal.jsonl", process=gone)
    record(project / "runs" / "sweep" / "0000" / "journal.jsonl", process=gone)
    assert len(orphans(project)) == 2


def test_run_that_ended_or_still_trains_is_no_orphan(project: Project, gone: dict[str, Any]) -> None:
    record(project / "runs" / "ended" / "journal.jsonl", "end", process=gone)
    record(project / "runs" / "live" / "journal.jsonl", process=this_process().as_dict())
    record(project / "runs" / "old" / "journal.jsonl")  # from before processes were recorded
    (project / "runs" / "empty").mkdir()
    (project / "runs" / "empty" / "journal.jsonl").touch()
    assert orphans(project) == []


def test_resumed_run_is_judged_by_its_latest_process(project: Project, gone: dict[str, Any]) -> None:
    path = project / "runs" / "one" / "journal.jsonl"
    record(path, "end", process=gone)
    with Journal(path) as journal:
        journal.resume(process=this_process().as_dict())
    assert orphans(project) == []
    with Journal(path) as journal:
        journal.resume(process=gone)
    assert len(orphans(project)) == 1


def test_damaged_journal_is_a_fault_and_hides_no_orphan(project: Project, gone: dict[str, Any]) -> None:
    for name in ("damaged", "lost"):
        record(project / "runs" / name / "journal.jsonl", "resume", process=gone)
    path = project / "runs" / "damaged" / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b"an id", b"an it", 1))
    damaged, lost = orphans(project)
    assert "damaged/journal.jsonl, line 1: the checksum does not fit" in damaged.what
    assert damaged.remedy == "piecewise verify"
    assert lost.remedy == "piecewise resume 'an id'"
