from __future__ import annotations

import os
import time
from pathlib import Path

from piecewise.jobs.job import Job
from piecewise.journal.folder import RunFolder
from piecewise.manifest import check_manifest, write_manifest
from piecewise.runs.leftovers import leftovers, remove
from piecewise.runs.train import train


def test_a_finished_run_can_do_without_its_checkpoints_and_an_unfinished_one_cannot(
    tiny_job: Job, project: Path
) -> None:
    finished, unfinished = (RunFolder.at(project / "runs" / name) for name in ("finished", "unfinished"))
    for folder in (finished, unfinished):
        train(tiny_job, folder)
    unfinished.result.unlink()
    write_manifest(finished.sealed)
    (item,) = leftovers(project)
    assert (item.path, item.reason) == (finished.checkpoints, "checkpoints of a finished run")
    assert item.num_bytes == sum(path.stat().st_size for path in finished.checkpoints.iterdir())
    remove(item)
    assert leftovers(project) == []
    assert finished.weights.is_file()
    assert list(unfinished.checkpoints.glob("*.ckpt"))
    assert check_manifest(finished.sealed) == []


def test_what_a_writer_left_behind_goes_and_what_one_writes_now_stays(project: Path) -> None:
    old, new = project / "runs" / "one" / ".job.json.12.tmp", project / "runs" / "one" / ".job.json.13.tmp"
    old.parent.mkdir(parents=True)
    for path in (old, new):
        path.write_bytes(b"half")
    hours_ago = time.time() - 7200
    os.utime(old, (hours_ago, hours_ago))
    (item,) = leftovers(project)
    assert (item.path, item.num_bytes) == (old, 4)
    remove(item)
    assert not old.exists()
    assert new.exists()
