"""piecewise reads the files that the installed DVC writes. These tests fail when DVC changes a format."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from piecewise.dvc_files import (
    RWLOCK,
    Cache,
    Out,
    folder_digest,
    is_intact_run,
    read_outs,
    recorded_stage,
    rwlock_holders,
    tracked_files,
)
from piecewise.errors import BadInput
from piecewise.project import Project

STAGES = """\
stages:
  make:
    cmd: cp .dvc/tmp/rwlock rwlock.json && python make.py && echo é > "out/sub/ü x.txt"
    deps: [in.txt]
    outs: [out, rwlock.json]
"""
MAKE = """\
from pathlib import Path
Path("out/sub").mkdir(parents=True)
Path("out/b.txt").write_text("hi\\n")
Path("out/.b.txt.12.tmp").write_text("not an out")
"""


def dvc(folder: Path, *arguments: str, fails: bool = False) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose only stage DVC has run. Its cache lies outside `.dvc`."""
    folder = tmp_path_factory.mktemp("dvc") / "a project"
    folder.mkdir()
    dvc(folder, "init", "--no-scm", "--quiet")
    dvc(folder, "config", "cache.dir", "../../elsewhere")
    shutil.copy(Path(__file__).parents[1] / ".dvcignore", folder)
    for name, text in {"dvc.yaml": STAGES, "make.py": MAKE, "in.txt": "a\n"}.items():
        (folder / name).write_text(text)
    dvc(folder, "repro", "--quiet")
    return Project(folder)


@pytest.fixture
def copy(made: Project, tmp_path: Path) -> Project:
    """A copy of project and cache that a test may damage."""
    shutil.copytree(made.root, tmp_path / "dvc" / "a project")
    shutil.copytree(Cache.of(made).folder, tmp_path / "elsewhere")
    return Project(tmp_path / "dvc" / "a project")


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_outs_in_dvc_lock(made: Project) -> None:
    digests = {"sub/ü x.txt": md5(made / "out/sub/ü x.txt"), "b.txt": md5(made / "out/b.txt")}
    assert dict(tracked_files(made, made / "out")) == {name: made / "out" / name for name in digests}
    out, rwlock = sorted(read_outs(made), key=lambda out: out.path)
    assert out == Out("out", folder_digest(digests))
    assert rwlock == Out("rwlock.json", md5(made / "rwlock.json"))
    assert (out.is_folder, rwlock.is_folder) == (True, False)
    assert Cache.of(made).members(out.digest) == digests


IGNORED = """\
# a comment
*.log
!keep.log
/top.txt
cache/
out/only/here.txt
a/**/z.txt
two words.txt
\\#hash
[ab].bin
"""


def test_what_is_ignored_is_what_dvc_ignores(copy: Project) -> None:
    """Patterns are git's: anchored ones, folders, `**`, and exceptions."""
    (copy / ".dvcignore").write_text(IGNORED)
    names = ["x.log", "keep.log", "sub/keep.log", "top.txt", "cache/x", "x/cache/y", "only/here.txt", "x/only/here.txt"]
    names += [
        "a/z.txt",
        "a/b/c/z.txt",
        "z.txt",
        "two words.txt",
        "#hash",
        "a.bin",
        "c.bin",
        "sub/local.txt",
        "local.txt",
    ]
    for name in names:
        path = copy / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (copy / "out" / "sub" / ".dvcignore").write_text("/local.txt\n")
    done = dvc(copy.root, "check-ignore", *(f"out/{name}" for name in names))
    ignored = {line.removeprefix("out/") for line in done.splitlines()}
    assert len(ignored) > 5
    assert {name for name, _ in tracked_files(copy, copy / "out")} >= set(names) - ignored
    assert ignored.isdisjoint(name for name, _ in tracked_files(copy, copy / "out"))


def test_recorded_stage_changes_only_when_dvc_records_it(copy: Project) -> None:
    before = recorded_stage(copy, "make")
    assert before["cmd"].startswith("cp ")
    (copy / "in.txt").write_text("another\n")
    assert recorded_stage(copy, "make") == before
    dvc(copy.root, "repro", "--quiet")
    assert recorded_stage(copy, "make") != before
    assert recorded_stage(copy, "absent") is None
    copy.dvc_lock.unlink()
    assert (read_outs(copy), recorded_stage(copy, "make")) == ([], None)


def test_empty_dvc_lock_is_refused_here_and_by_dvc(copy: Project) -> None:
    copy.dvc_lock.write_text("")
    dvc(copy.root, "status", fails=True)
    with pytest.raises(BadInput, match=r"dvc\.lock cannot be read"):
        recorded_stage(copy, "make")


@pytest.mark.parametrize("content", ["stages: [", "[]", "stages: []"])
def test_dvc_lock_of_another_shape_is_bad_input(tmp_path: Path, content: str) -> None:
    (tmp_path / "dvc.lock").write_text(content)
    with pytest.raises(BadInput, match=r"dvc\.lock cannot be read"):
        read_outs(Project(tmp_path))
    with pytest.raises(BadInput, match=r"dvc\.lock cannot be read"):
        recorded_stage(Project(tmp_path), "make")


def test_objects_of_the_cache_are_named_by_their_md5(made: Project) -> None:
    objects = dict(Cache.of(made).objects())
    assert len(objects) == 4  # the listing of folder `out`, its two files, and rwlock.json
    assert {path: name.removesuffix(".dir") for path, name in objects.items() if name} == {
        path: md5(path) for path in objects
    }


def test_a_stray_file_in_the_cache_has_no_object_name(copy: Project) -> None:
    stray = Cache.of(copy).folder / "files" / "md5" / "ab" / "notes.txt"
    stray.parent.mkdir(exist_ok=True)
    stray.touch()
    assert [path for path, name in Cache.of(copy).objects() if name is None] == [stray]


def test_an_altered_or_moved_entry_of_the_run_cache_is_not_intact(copy: Project) -> None:
    (entry,) = Cache.of(copy).runs()
    assert is_intact_run(entry)
    text = entry.read_text()
    for old, new in (("in.txt", "in.txu"), ("hash: md5\n", "hash: 2024-13-45\n"), ("cmd", "\0"), ("outs", "cuts")):
        assert old in text
        entry.write_text(text.replace(old, new, 1))
        assert not is_intact_run(entry)
    (entry.parents[1] / "another").mkdir()
    for name in (entry.with_name(entry.name[::-1]), entry.parents[1] / "another" / entry.name):
        name.write_text(text)
        assert not is_intact_run(name)


def test_unreadable_dvc_configuration_is_bad_input(copy: Project) -> None:
    (copy / ".dvc" / "config.local").write_text("dir = no section\n")
    with pytest.raises(BadInput, match=r"\.dvc/config cannot be read"):
        Cache.of(copy)


def test_rwlock_names_the_process_of_a_running_stage(copy: Project) -> None:
    assert rwlock_holders(copy) == set()  # DVC has ended and released it
    shutil.copy(copy / "rwlock.json", copy / RWLOCK)
    content = json.loads((copy / "rwlock.json").read_text())
    (pid,) = rwlock_holders(copy) or ()
    assert {info["pid"] for info in content["write"].values()} == {pid}
    dvc(copy.root, "repro", "--force", "--quiet")  # DVC ignores a holder that has ended
    assert (copy / RWLOCK).is_file()


def test_rwlock_holders_are_unknown_if_dvc_cannot_read_the_file(copy: Project) -> None:
    (copy / RWLOCK).write_text('{"write": {"a"')
    assert rwlock_holders(copy) is None
    assert "Unable to read RWLock-file" in dvc(copy.root, "repro", "--force", fails=True)
