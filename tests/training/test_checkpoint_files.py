"""Checkpoints as files: whole, or not there."""

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


def keep(folder: Path, *steps: int) -> None:
    for step in steps:
        write(path_of(folder, step), content(step))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_was_written_is_read_and_only_two_are_kept(tmp_path: Path) -> None:
    keep(tmp_path, 5, 10, 15)
    assert names(tmp_path) == ["000000010.ckpt", "000000010.json", "000000015.ckpt", "000000015.json"]
    assert newest(tmp_path) == path_of(tmp_path, 15)
    assert [read(path_of(tmp_path, step)) for step in (10, 15)] == [content(10), content(15)]


def test_the_step_decides_and_not_the_time_of_the_file(tmp_path: Path) -> None:
    keep(tmp_path, 9, 10)
    os.utime(path_of(tmp_path, 9), (2**31, 2**31))
    assert newest(tmp_path) == path_of(tmp_path, 10)


def test_an_empty_folder_and_none_at_all_have_no_checkpoint(tmp_path: Path) -> None:
    assert newest(tmp_path) is None
    assert newest(tmp_path / "nowhere") is None


def test_nothing_is_left_to_a_training_that_begins(tmp_path: Path) -> None:
    keep(tmp_path, 5, 10)
    (tmp_path / "other").touch()
    remove_all(tmp_path)
    assert names(tmp_path) == ["other"]


def test_one_that_a_crash_left_without_its_seal_does_not_exist(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(tmp_path, 5)
    path_of(tmp_path, 10).write_bytes(content(10))
    (tmp_path / ".000000010.ckpt.1.tmp").touch()
    assert newest(tmp_path) == path_of(tmp_path, 5)
    assert capsys.readouterr().err == ""  # a crash is no damage
    keep(tmp_path, 15)
    assert names(tmp_path) == ["000000005.ckpt", "000000005.json", "000000015.ckpt", "000000015.json"]


def test_the_one_before_is_kept_and_not_one_that_was_refused(tmp_path: Path) -> None:
    """A training that went back to step 10 keeps what it writes, and not the damaged checkpoint of step 90."""
    keep(tmp_path, 10, 90)
    path_of(tmp_path, 90).write_bytes(b"")
    keep(tmp_path, 20)
    assert [path.stem for path in sorted(tmp_path.glob("*.ckpt"))] == ["000000010", "000000020"]


def test_the_same_step_again_replaces_it(tmp_path: Path) -> None:
    keep(tmp_path, 5, 10)
    write(path_of(tmp_path, 10), b"other")
    assert read(path_of(tmp_path, 10)) == b"other"
    assert newest(tmp_path) == path_of(tmp_path, 10)


def damage(path: Path, chance: random.Random) -> None:
    """Flip a bit, cut the end off, or zero a block: of the checkpoint, or sometimes of its seal."""
    target = path.with_suffix(".json") if chance.random() < 0.2 else path
    data = bytearray(target.read_bytes())
    place = chance.randrange(len(data))
    kind = chance.choices(("flip", "cut", "zero"), weights=(10, 3, 3))[0]
    if kind == "flip":
        data[place] ^= 1 << chance.randrange(8)
    elif kind == "cut":
        del data[place:]
    else:
        data[place : place + 512] = bytes(len(data[place : place + 512]))
    target.write_bytes(data)


def test_damage_is_found_and_the_one_before_is_taken(
    tmp_path: Path, trials: Trials, capsys: pytest.CaptureFixture[str]
) -> None:
    for chance in trials("damaged checkpoints found, and the one before taken", 1600):
        keep(tmp_path, 5, 10)
        damage(path_of(tmp_path, 10), chance)
        assert newest(tmp_path) == path_of(tmp_path, 5)
        assert "000000010.ckpt was altered, or never finished; going on from the one before" in capsys.readouterr().err
        with pytest.raises(AlteredCheckpoint, match="was altered"):
            read(path_of(tmp_path, 10))


def test_when_both_are_damaged_there_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(tmp_path, 5, 10)
    for step in (5, 10):
        path_of(tmp_path, step).write_bytes(b"")
    assert newest(tmp_path) is None
    assert capsys.readouterr().err.count("was altered") == 2


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_is_told_and_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    keep(tmp_path, 5, 10)
    monkeypatch.setattr(*((os, "fsync", fail) if step == "fsync" else (Path, "replace", fail)))
    with pytest.raises(
        PiecewiseError, match=r"000000015\.ckpt cannot be written: No space left on device; once it can"
    ):
        keep(tmp_path, 15)
    monkeypatch.undo()
    assert checkpoint_files.newest(tmp_path) == path_of(tmp_path, 10)
    assert read(path_of(tmp_path, 5)) == content(5)
