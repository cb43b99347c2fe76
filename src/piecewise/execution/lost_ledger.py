"""The ledger of a sweep that has none: it began before there were ledgers, or the file is gone."""

from piecewise.execution.executors.contract import FINISHED
from piecewise.execution.job_folders import JobFolders, new_ids
from piecewise.execution.ledger import LEDGER, Planned, begun
from piecewise.execution.reuse import outcome_of
from piecewise.jobs.digests import canonical_digest
from piecewise.jobs.job import Job
from piecewise.jobs.run_key import run_keys
from piecewise.journal.reader import read_start
from piecewise.manifest import update_manifest


def write_lost_ledger(jobs: list[Job], folders: JobFolders, key: str) -> None:
    """Write the ledger of these jobs from their journals. `key` is the sweep's.

    A job that never began counts as planned with the present data, source and lock.
    """
    sweep = read_start(folders.parent.journal) if folders.parent.journal.is_file() else None
    starts = [read_start(folder.journal) if folder.journal.is_file() else None for folder in folders.jobs]
    known = [start.raw.get("run_key", "") if start is not None else "" for start in starts]
    keys = [key or new for key, new in zip(known, run_keys(jobs), strict=True)] if not all(known) else known
    ids = [start.id if start is not None else new for start, new in zip(starts, new_ids(len(jobs)), strict=True)]
    planned = [Planned(number, job.title, ids[number], keys[number]) for number, job in enumerate(jobs)]
    run_id = sweep.id if sweep is not None else folders.root.name
    head = {"id": run_id, "name": jobs[0].name, "key": key, "results": canonical_digest(keys), "command": ""}
    with begun(folders.root / LEDGER, head, planned) as ledger:
        for number, folder in enumerate(folders.jobs):
            if folder.is_done:
                ledger.ended(number, outcome_of(FINISHED, folder))
    update_manifest(folders.root, [LEDGER])
