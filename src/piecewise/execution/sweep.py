"""A sweep on disk: its folder, its jobs and its ledger, and which jobs must still run."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from piecewise.analysis.member import Member
from piecewise.errors import BadInput
from piecewise.execution.describe import Facts
from piecewise.execution.executors.contract import FAILED, FINISHED, KILLED, Outcome
from piecewise.execution.job_folders import JOBS, JobFolders, new_ids
from piecewise.execution.ledger import DONE, LEDGER, REUSED, Entry, Ledger, Planned, Record, begun
from piecewise.execution.lost_ledger import write_lost_ledger
from piecewise.execution.pack import PACKS, Pack
from piecewise.execution.reuse import finished_runs, outcome_of
from piecewise.jobs.digests import canonical_digest
from piecewise.jobs.job import Job, read_jobs
from piecewise.jobs.overrides import shell_command
from piecewise.journal.reader import read_end
from piecewise.journal.run_folder import RunFolder
from piecewise.manifest import MANIFEST


@dataclass
class Sweep:
    """`record` is the ledger as it was when the sweep was opened."""

    jobs: list[Job]
    folders: JobFolders
    record: Record

    @property
    def id(self) -> str:
        return str(self.record.head["id"])

    @property
    def words(self) -> list[str]:
        """The arguments of the `piecewise train` that began it; none for one of an earlier version."""
        return shlex.split(self.record.head["command"])[2:]

    @property
    def ledger(self) -> Path:
        return self.folders.root / LEDGER

    @classmethod
    def at(cls, root: Path, jobs: list[Job] | None = None) -> Sweep:
        """The sweep in a folder. `jobs` are the same jobs, perhaps with other options of where they run.

        One of an earlier version, or one whose ledger was deleted, gets its ledger now. Raises BadInput for damage.
        """
        jobs = jobs or _jobs_at(root)
        folders = JobFolders.below(root, len(jobs))
        if not (root / LEDGER).is_file():
            write_lost_ledger(jobs, folders, key_of(jobs))
        record = Record.read(root / LEDGER)
        return cls(jobs, replace(folders, id=record.head["id"]), record)

    @classmethod
    def new(cls, jobs: list[Job], run_keys: Sequence[str], words: Sequence[str], reuses: bool = True) -> Sweep:
        """A new sweep of these jobs. Unless `reuses` is false, it takes over finished runs of the same run keys."""
        folders = JobFolders.new(jobs)
        planned = [
            Planned(number, job.title, run_id, run_key)
            for number, (job, run_id, run_key) in enumerate(zip(jobs, new_ids(len(jobs)), run_keys, strict=True))
        ]
        head = {"id": folders.id, "name": jobs[0].name, "command": shell_command(words)}
        head |= {"key": key_of(jobs), "results": canonical_digest(list(run_keys))}
        with begun(folders.root / LEDGER, head, planned) as ledger:
            for number, folder in (finished_runs(jobs, run_keys) if reuses else {}).items():
                ledger.ended(number, outcome_of(REUSED, folder), folder)
        return cls(jobs, folders, Record.read(folders.root / LEDGER))

    def now(self) -> Sweep:
        """The sweep with what its ledger says now."""
        return replace(self, record=Record.read(self.ledger))

    def folder_of(self, entry: Entry) -> RunFolder:
        """Where the run of a job is: in the sweep's folder, unless the sweep has taken it over."""
        if entry.reused is not None:
            return RunFolder.from_text(entry.reused)
        return self.folders.jobs[entry.planned.number]

    def states(self) -> list[str | None]:
        """How far each job is: FINISHED, REUSED, FAILED, KILLED, or None if it never started or still runs."""
        return [self._state(entry) for entry in self.record.entries]

    def _state(self, entry: Entry) -> str | None:
        folder = self.folder_of(entry)
        if folder.is_done:
            return FINISHED if entry.reused is None else REUSED
        end = read_end(folder.journal)  # where the ledger is silent, the journal decides
        state = entry.state or (end.status if end is not None else None)
        return state if state in (FAILED, KILLED) else KILLED if end is not None else None

    def is_settled(self, retries: bool = False) -> bool:
        """Whether nothing is left to run, the ledger says how each job ended, and the table is written."""
        settled = DONE if retries else (*DONE, FAILED)
        if not (self.folders.parent.table.is_file() and (self.folders.root / MANIFEST).is_file()):
            return False
        states = self.states()
        return all(state in settled for state in states) and states == [entry.state for entry in self.record.entries]

    @property
    def is_whole(self) -> bool:
        """Whether every job is done."""
        return all(state in DONE for state in self.states())

    def members(self) -> list[Member]:
        """Every job, for the sweep's table. It does not tell where a job was trained."""
        found = []
        for job, entry, state in zip(self.jobs, self.record.entries, self.states(), strict=True):
            ended = outcome_of(FINISHED, self.folder_of(entry)) if state in DONE else Outcome(state or "")
            found.append(Member(job, ended.metrics, val_nll=ended.val_nll, state=ended.state))
        return found

    def write_missing_ends(self, ledger: Ledger) -> None:
        """Add what the journals of jobs say to the ledger: its process was killed before it could."""
        for entry, state in zip(self.record.entries, self.states(), strict=True):
            if state is None or state == entry.state:
                continue
            folder = self.folder_of(entry)
            end = read_end(folder.journal)
            if state in DONE:
                ledger.ended(entry.planned.number, outcome_of(FINISHED, folder))
            else:
                reason = end.reason if end is not None else ""
                ledger.ended(entry.planned.number, Outcome(state, message=reason))
        self.record.follow(self.ledger)

    def packs(self, facts: Facts, retries: bool, draws: bool) -> list[Pack]:
        """A pack for each job that must run: it is not done and, unless `retries`, has not failed."""
        left = []
        for entry, state in zip(self.record.entries, self.states(), strict=True):
            if state in DONE or (state == FAILED and not retries):
                continue
            number = entry.planned.number
            folder, path = self.folders.jobs[number], self.folders.root / PACKS / f"{number:04d}.json"
            own = {**facts.of(self.jobs[number]), "id": entry.planned.run_id, "parent": self.id}
            attempt, is_resumed = entry.attempts + 1, folder.journal.is_file()
            digests = facts.digests(self.jobs[number])
            left.append(Pack(path, number, self.jobs[number], folder, own, digests, attempt, is_resumed, draws=draws))
        return left


def key_of(jobs: Sequence[Job]) -> str:
    """A digest that two sweeps share if they have the same jobs in the same order."""
    return canonical_digest([[job.name, job.digest] for job in jobs])


def _jobs_at(root: Path) -> list[Job]:
    try:
        return read_jobs(root / JOBS)
    except BadInput as error:
        raise BadInput(f"{error}; the same piecewise train command goes on without this file") from error
