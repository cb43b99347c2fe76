from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from piecewise import manifest
from piecewise.cli import main
from piecewise.durable import write_json
from piecewise.errors import TryAgain
from piecewise.execution.stage_key import write_key
from piecewise.execution.train import train
from piecewise.health import leftovers as module
from piecewise.health.leftovers import leftovers, remove
from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder
from piecewise.journal.writer import Journal
from piecewise.locks import file_lock
from piecewise.manifest import manifest_faults, write_manifest
from piecewise.project import Project
from piecewise.training import checkpoint_files


def test_checkpoints_of_a_finished_run_are_leftovers_and_of_an_unfinished_run_are_not(
    tiny_job: Job, project: Project
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
    assert manifest_faults(finished.sealed) == {}


def finish_by_hand(folder: RunFolder) -> None:
    """Write what a finished training leaves, without training."""
    live = folder.checkpoints if folder.is_of_pipeline else folder.journal.parent
    with Journal(live / "journal.jsonl") as journal:
        journal.start(id="a", name="x", title="x")
        journal.end("FINISHED")
    checkpoint_files.write(checkpoint_files.path_of(folder.checkpoints, 5), b"weights")
    write_json(folder.result, {})
    write_manifest(folder.sealed)


@pytest.mark.parametrize("place", ["folder", "journal"])
def test_what_a_process_works_on_is_no_leftover(project: Project, place: str) -> None:
    """A command holds the folder's lock, also while it evaluates; a rank whose command was killed, the journal's."""
    folder = RunFolder.at(project / "runs" / "one")
    finish_by_hand(folder)
    (item,) = leftovers(project)
    with file_lock(folder.lock if place == "folder" else folder.journal):
        assert leftovers(project) == []
        with pytest.raises(TryAgain, match=rf"is being written: its run goes on in process {os.getpid()} \(.*python"):
            remove(item)
    assert len(list(folder.checkpoints.iterdir())) == 2


def test_a_process_that_begins_after_the_listing_keeps_its_files(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [RunFolder.at(project / "runs" / name) for name in ("one", "two", "three")]
    for folder in folders:
        finish_by_hand(folder)
    listed = leftovers(project)
    monkeypatch.setattr(module, "leftovers", lambda project: listed)
    folders[1].result.unlink()  # it trains again, and was killed
    with folders[0].held():
        assert main(["clean", "--yes"]) == 0
    assert [folder.checkpoints.is_dir() for folder in folders] == [True, True, False]
    said = capsys.readouterr()
    assert f"warning: kept runs/one/checkpoints: {folders[0].lock} is being written" in said.err


def test_of_a_pipeline_run_only_recorded_checkpoints_are_leftovers(project: Project) -> None:
    """Until dvc.lock has the stage, `dvc repro` would go on from them. The journal beside them is never removed."""
    folder = RunFolder.of_stage("line", "seed=0")
    finish_by_hand(folder)
    live, lock = folder.checkpoints.parent, project / "dvc.lock"
    write_key(live, "0" * 64)
    lock.write_text("stages: {train@line: {cmd: other}}")
    assert leftovers(project) == []  # its training has not ended
    write_key(live, "0" * 64, is_over=True)
    assert leftovers(project) == []  # DVC has not recorded it
    lock.write_text("stages: {train@line: {cmd: recorded}}")
    with file_lock(live.with_name("line.lock")):
        assert leftovers(project) == []
    (item,) = leftovers(project)
    assert item.num_bytes == sum(path.stat().st_size for path in folder.checkpoints.glob("0*"))
    remove(item)
    assert {path.name for path in folder.checkpoints.iterdir()} == {"journal.jsonl", "manifest.json"}
    assert manifest_faults(folder.sealed) == {}
    assert leftovers(project) == []


@pytest.mark.parametrize("is_killed", [False, True])
def test_checkpoints_are_removed_from_a_full_disk(
    project: Project, monkeypatch: pytest.MonkeyPatch, is_killed: bool
) -> None:
    """The remedy for a full disk must not need room: the new manifest gets that of the first checkpoint."""
    folder = RunFolder.at(project / "runs" / "one")
    finish_by_hand(folder)
    write = manifest.write_atomic
    assert len(list(folder.checkpoints.iterdir())) == 2

    def write_to_a_full_disk(path: Path, data: bytes) -> None:
        if is_killed or len(list(folder.checkpoints.iterdir())) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(manifest, "write_atomic", write_to_a_full_disk)
        if is_killed:
            with pytest.raises(OSError, match="No space left"):
                remove(leftovers(project)[0])
            assert set(manifest_faults(folder.sealed).values()) == {"is missing"}
        else:
            remove(leftovers(project)[0])
    for item in leftovers(project):
        remove(item)
    assert not folder.checkpoints.exists()
    assert manifest_faults(folder.sealed) == {}


def test_a_temporary_file_of_a_living_process_is_kept(project: Project) -> None:
    path = project / "runs" / f".job.json.{os.getpid()}.tmp"
    path.parent.mkdir()
    path.touch()
    os.utime(path, (0, 0))
    assert leftovers(project) == []
    path.rename(path.with_name(".job.json.tmp"))
    assert len(leftovers(project)) == 1


def test_old_temporary_file_is_a_leftover_and_a_new_one_is_not(project: Project) -> None:
    gone = 2**22 + 1  # no process can have this number
    old, new = (project / "runs" / "one" / f".job.json.{number}.tmp" for number in (gone, gone + 1))
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


def make_store(root: Path, name: str, hours_ago: float, size: int) -> Path:
    """Make a database that changed `hours_ago`; below runs/, `name` is the folder that holds it."""
    path = root / name
    file = path / "mlflow.db" if name.startswith("runs/") else path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(bytes(size))
    os.utime(path, (time.time() - 3600 * hours_ago,) * 2)
    return path


def test_the_newest_set_aside_store_and_backup_are_kept(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    old = [make_store(project, f"runs/.aside-{name}", hours, 10) for name, hours in (("c", 9), ("a", 8))]
    old += [make_store(project, f"mlflow.db.before-{name}", hours, 1000) for name, hours in (("y", 4), ("x", 3))]
    kept = [make_store(project, "runs/.aside-b", 7, 10), make_store(project, "mlflow.db.before-z", 2, 1000)]
    kept += [make_store(project, "mlflow.db", 50, 10)]
    assert [item.path for item in leftovers(project)] == old
    assert main(["clean"]) == 0
    said = capsys.readouterr().out
    assert "runs/.aside-c       a store that was set aside before the last one" in said
    assert "mlflow.db.before-x  a backup of the store before the last one" in said
    assert said.endswith("2.0 kB can go; piecewise clean --yes removes it\n")
    assert main(["clean", "--yes"]) == 0
    assert [path.exists() for path in (*old, *kept)] == [False] * 4 + [True] * 3
    assert leftovers(project) == []


def test_recent_stores_are_kept_and_a_linked_store_is_followed(project: Project, tmp_path: Path) -> None:
    for name, hours in (("runs/.aside-a", 0.5), ("runs/.aside-b", 0.0)):
        make_store(project, name, hours, 10)
    elsewhere = tmp_path / "elsewhere"
    backups = [make_store(elsewhere, f"mlflow.db.before-{name}", hours, 10) for name, hours in (("x", 3), ("y", 2))]
    (project / "mlflow.db").symlink_to(make_store(elsewhere, "mlflow.db", 1, 10))
    (item,) = leftovers(project)
    assert (item.path, project.name(item.path)) == (backups[0], str(backups[0]))
