"""The permissions check on real files, run as their owner, as another user and as root, who gets the same findings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from piecewise.health.machine import permissions
from piecewise.project import Project


@pytest.fixture
def private(tmp_path: Path) -> Path:
    for folder in ("runs/one", ".dvc/tmp", "build", "results"):
        (tmp_path / folder).mkdir(parents=True)
    for folder in (".", "runs", "runs/one", ".dvc/tmp", "build", "results"):
        (tmp_path / folder).chmod(0o700)
    (tmp_path / "mlflow.db").touch(0o600)
    return tmp_path


def as_root_among_files_of_another_user(
    folder: Path, monkeypatch: pytest.MonkeyPatch, groups: tuple[int, ...] = ()
) -> int:
    """Run as root in a folder that belongs to another user. Returns that user's id."""
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, 12345, 12345)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "getegid", lambda: -1)
    monkeypatch.setattr(os, "getgroups", lambda: list(groups))
    return folder.stat().st_uid


def test_owner_of_private_files_has_no_fault(private: Path) -> None:
    assert list(permissions(Project(private))) == []


def test_a_missing_file_is_no_fault(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert list(permissions(Project(tmp_path))) == []


@pytest.mark.parametrize("name", [".", "runs", "mlflow.db", ".dvc/tmp", "build", "results"])
def test_each_path_that_commands_write_to_is_checked(private: Path, name: str) -> None:
    (private / name).chmod(0o500)
    (finding,) = permissions(Project(private))
    (private / name).chmod(0o700)
    assert finding.what.startswith(f"{name} belongs to user {os.geteuid()}, mode 0500: ")
    assert finding.remedy == f"chmod u+rwX {name}"


def test_remedy_repairs_the_permissions(private: Path) -> None:
    (private / "results").chmod(0o500)
    (finding,) = permissions(Project(private))
    assert os.system(f"cd '{private}' && {finding.remedy}") == 0
    assert list(permissions(Project(private))) == []


def test_root_in_the_project_of_another_user_is_a_fault(private: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = as_root_among_files_of_another_user(private, monkeypatch)
    found = list(permissions(Project(private)))
    assert [finding.remedy for finding in found] == [
        f"sudo chown -R 0 {name}" for name in (".", "runs", "mlflow.db", ".dvc/tmp", "build", "results")
    ]
    assert all(f"belongs to user {owner}, mode 0" in finding.what for finding in found)


def test_user_who_cannot_write_is_a_fault_that_names_the_owner(private: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, user = os.geteuid(), os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert list(permissions(Project(private))) == []  # an access control list may permit it
    monkeypatch.setattr(os, "access", lambda path, mode: path.name != "build")
    (finding,) = permissions(Project(private))
    assert f"build belongs to user {owner}, mode 0700: user {user} may not" in finding.what
    assert finding.remedy == f"sudo chown -R {user} build"


@pytest.mark.parametrize(("mode", "num_faults"), [(0o770, 0), (0o707, 1), (0o750, 1)])
def test_group_may_share_a_folder(private: Path, monkeypatch: pytest.MonkeyPatch, mode: int, num_faults: int) -> None:
    for name in (".", "runs", "runs/one", "mlflow.db", ".dvc/tmp", "build", "results"):
        (private / name).chmod(0o777)
    (private / "build").chmod(mode)
    group = 12345 if os.geteuid() == 0 else (private / "build").stat().st_gid
    as_root_among_files_of_another_user(private, monkeypatch, groups=(group,))
    unwritable = [finding for finding in permissions(Project(private)) if "belongs" in finding.what]
    assert len(unwritable) == num_faults


def test_read_only_file_system_has_its_own_message(private: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: path.name != "build")
    (finding,) = permissions(Project(private))
    assert finding.what == "build cannot be written: its file system is read-only"


@pytest.mark.parametrize("mode", [0o701, 0o740, 0o777])
def test_finding_names_three_open_runs_and_counts_the_others(private: Path, mode: int) -> None:
    for number in range(4):
        (private / "runs" / f"run {number}").mkdir()
        (private / "runs" / f"run {number}").chmod(mode)
    (finding,) = permissions(Project(private))
    assert finding.what == "other users of this machine may use runs/run 0, runs/run 1, runs/run 2 and 1 more"
    assert os.system(f"cd '{private}' && {finding.remedy}") == 0
    assert list(permissions(Project(private))) == []
