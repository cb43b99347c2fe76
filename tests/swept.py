"""What tests ask of the folder of a sweep: its ledger, the files of its jobs, the processes that work for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from piecewise.durable import read_records
from piecewise.execution.ledger import LEDGER, Entry, Record
from piecewise.execution.sweep import Sweep
from piecewise.journal.reader import read_journal
from piecewise.journal.records import Start
from piecewise.locks import has_writer
from piecewise.project import Project
from running_server import wait_for
from shipped import wait_for_processes_to_end
from small_project import TINY

SWEEP = ["train", "-m", *TINY, "model.width=4"]  # eight steps a job
Files = dict[Path, tuple[bytes, int]]


def seeds(numbers: Sequence[int]) -> str:
    return f"seed={','.join(map(str, numbers))}"


def sweeps(project: Project) -> list[Path]:
    """The folders of the project's sweeps, oldest first."""
    return sorted((path.parent for path in project.runs.glob(f"*/{LEDGER}")), key=lambda path: path.name)


def new_place(project: Project, name: str) -> Project:
    """Another project with the same configurations, in a folder of this one."""
    root = project.root / name
    root.mkdir()
    for shared in ("conf", "requirements.lock"):
        (root / shared).symlink_to(project / shared)
    return Project(root)


@dataclass
class Swept:
    """A sweep in a folder; everything is read anew when it is asked for."""

    root: Path

    @property
    def entries(self) -> list[Entry]:
        return Record.read(self.root / LEDGER).entries

    @property
    def states(self) -> list[str | None]:
        return Sweep.at(self.root).states()

    @property
    def table(self) -> bytes:
        return (self.root / "results.csv").read_bytes()

    def count(self, kind: str) -> int:
        """The number of records of this kind in the ledger."""
        path = self.root / LEDGER
        return sum(record["kind"] == kind for record in read_records(path)) if path.is_file() else 0

    def folder(self, number: int) -> Path:
        return self.root / f"{number:04d}"

    def files(self, number: int) -> Files:
        """Every file of a job's run, with its content and when it was written."""
        paths = [path for path in self.folder(number).rglob("*") if path.is_file()]
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}

    def start(self, number: int) -> Start:
        record = read_journal(self.folder(number) / "journal.jsonl", with_metrics=False)
        assert record is not None
        return record.start

    def status(self, name: str = ".") -> str:
        """How the journal of the parent, or of a job, says that its run ended; empty if the run has not begun."""
        path = self.root / name / "journal.jsonl"
        record = read_journal(path, with_metrics=False) if path.is_file() else None
        if record is None:
            return ""
        assert record.end is not None
        return str(record.end.status)

    def weights(self) -> list[str]:
        """A digest of the weights of each job; empty where there are none."""
        paths = [self.folder(number) / "training" / "result.json" for number in range(len(self.entries))]
        return [json.loads(path.read_text())["weights_digest"] if path.is_file() else "" for path in paths]


def the_sweep(project: Project) -> Swept:
    """The only sweep of a project."""
    (root,) = sweeps(project)
    return Swept(root)


def steps_in(path: Path) -> list[int]:
    """The steps that a job has noted in a file, from its processes so far."""
    return list(map(int, path.read_text().split())) if path.is_file() else []


def wait_for_sweep(project: Project, count: int = 1) -> Swept:
    """Wait until the project has so many sweeps. Returns the newest."""
    wait_for(lambda: len(sweeps(project)) >= count, "a sweep")
    return Swept(sweeps(project)[-1])


def assert_nothing_runs(project: Project, seconds: float = 60) -> None:
    """Wait until the project has no process, and assert that no lock is left."""
    wait_for_processes_to_end(project.root, seconds)
    locked = [path for path in project.runs.rglob("*.jsonl") if has_writer(path)]
    assert locked == []
