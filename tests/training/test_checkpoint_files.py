"""Checkpoint files: written whole, verified when read, pruned to the newest two."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path
from typing import Any

import pytest

from piecewise.errors import PiecewiseError
from piecewise.training import checkpoint_files
from piecewise.training.checkpoint_files import AlteredCheckpoint, newest, path_of, read, remove_all, write
from trials import Trials


def content(step: int) -> bytes:
    return random.Random(step).randbytes(5000)


def write_checkpoints(folder: Path, *steps: int) -> None:
    for step in steps:
        write(path_of(folder, step), content(step))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_reading_returns_what_was_written_and_two_files_are_kept(tmp_path: Path) -> None:
    write_checkpoints(tmp_path, 5, 10, 15)
    assert names(tmp_path) == ["000000010.ckpt", "000000010.json", "000000015.ckpt", "000000015.json"]
    assert newest(tmp_path) == path_of(tmp_path, 15)
    assert [read(path_of(tmp_path, step)) for step in (10, 15)] == [content(10), content(15)]


def test_the_newest_is_chosen_by_step_not_by_file_time(tmp_path: Path) -> None:
    write_checkpoints(tmp_path, 9, 10)
    os.utime(path_of(tmp_path, 9), (2**31, 2**31))
    assert newest(tmp_path) == path_of(tmp_path, 10)


def test_an_empty_or_missing_folder_has_no_checkpoint(tmp_path: Path) -> None:
    assert newest(tmp_path) is None
    assert newest(tmp_path / "nowhere") is None


def test_remove_all_leaves_nothing_for_a_new_training(tmp_path: Path) -> None:
    write_checkpoints(tmp_path, 5, 10)
    (tmp_path / "other").touch()
    remove_all(tmp_path)
    assert names(tmp_path) == ["other"]


def test_a_checkpoint_without_seal_does_not_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_checkpoints(tmp_path, 5)
    path_of(tmp_path, 10).write_bytes(content(10))
    (tmp_path / ".000000010.ckpt.1.tmp").touch()
    assert newest(tmp_path) == path_of(tmp_path, 5)
    assert capsys.readouterr().err == ""  # an interrupted write is not reported as damage
    write_checkpoints(tmp_path, 15)
    assert names(tmp_path) == ["000000005.ckpt", "000000005.json", "000000015.ckpt", "000000015.json"]


def test_writing_deletes_files_with_more_steps(tmp_path: Path) -> None:
    """A training resumed from step 10 keeps its new checkpoints and deletes the damaged one of step 90."""
    write_checkpoints(tmp_path, 10, 90)
    path_of(tmp_path, 90).write_bytes(b"")
    write_checkpoints(tmp_path, 20)
    assert [path.stem for path in sorted(tmp_path.glob("*.ckpt"))] == ["000000010", "000000020"]


def test_writing_the_same_step_again_replaces_it(tmp_path: Path) -> None:
    write_checkpoints(tmp_path, 5, 10)
    write(path_of(tmp_path, 10), b"other")
    assert read(path_of(tmp_path, 10)) == b"other"
    assert newest(tmp_path) == path_of(tmp_path, 10)


def damage(path: Path, rng: random.Random) -> None:
    """Flip a bit, cut the end off, or zero a block of the checkpoint, or sometimes of its seal."""
    target = path.with_suffix(".json") if rng.random() < 0.2 else path
    data = bytearray(target.read_bytes())
    place = rng.randrange(len(data))
    kind = rng.choices(("flip", "cut", "zero"), weights=(10, 3, 3))[0]
    if kind == "flip":
        data[place] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del data[place:]
    else:
        data[place : place + 512] = bytes(len(data[place : place + 512]))
    target.write_bytes(data)


def test_a_damaged_checkpoint_is_skipped_for_the_one_before(
    tmp_path: Path, trials: Trials, capsys: pytest.CaptureFixture[str]
) -> None:
    for rng in trials("damaged checkpoints found, and the one before taken", 1600):
        write_checkpoints(tmp_path, 5, 10)
        damage(path_of(tmp_path, 10), rng)
        assert newest(tmp_path) == path_of(tmp_path, 5)
        assert "000000010.ckpt was altered, or never finished; going on from the one before" in capsys.readouterr().err
        with pytest.raises(AlteredCheckpoint, match="was altered"):
            read(path_of(tmp_path, 10))


def test_two_damaged_checkpoints_leave_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_checkpoints(tmp_path, 5, 10)
    for step in (5, 10):
        path_of(tmp_path, step).write_bytes(b"")
    assert newest(tmp_path) is None
    assert capsys.readouterr().err.count("was altered") == 2


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_is_reported_and_damages_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write_checkpoints(tmp_path, 5, 10)
    monkeypatch.setattr(*((os, "fsync", fail) if step == "fsync" else (Path, "replace", fail)))
    with pytest.raises(
        PiecewiseError, match=r"000000015\.ckpt cannot be written: No space left on device; once it can"
    ):
        write_checkpoints(tmp_path, 15)
    monkeypatch.undo()
    assert checkpoint_files.newest(tmp_path) == path_of(tmp_path, 10)
    assert read(path_of(tmp_path, 5)) == content(5)
