"""The kind of a path's file system, read from the kernel's list of mounts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from piecewise.errors import BadInput
from piecewise.project import Project
from piecewise.tracking.store.embedded import prepare
from piecewise.tracking.store.filesystem import NETWORK, network_kind, refuse_network

MOUNTS = [
    ("/", "ext4"),
    ("/home", "nfs4"),
    ("/home/me/local", "ext4"),
    ("/mnt/two words", "fuse.sshfs"),
    ("/mnt/é", "cifs"),
    ("/over", "nfs"),
    ("/over", "tmpfs"),
    ("/under", "tmpfs"),
    ("/under", "nfs"),
    ("/host", "9p"),
    ("/shared", "virtiofs"),
    ("/usb", "fuseblk"),
]


def mount(monkeypatch: pytest.MonkeyPatch, mounts: list[tuple[str, str]]) -> None:
    found = [SimpleNamespace(mountpoint=point, fstype=kind) for point, kind in mounts]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: found)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/a", None),
        ("/home/me/project/mlflow.db", "nfs4"),
        ("/homes/me", None),  # a neighbour with a longer name
        ("/home/me/local/project", None),
        ("/mnt/two words/project", "fuse.sshfs"),
        ("/mnt/é/project", "cifs"),
        ("/over/x", None),  # the last mount hides the one below
        ("/under/x", "nfs"),
    ],
)
def test_the_longest_mount_point_above_a_path_decides(
    monkeypatch: pytest.MonkeyPatch, path: str, kind: str | None
) -> None:
    mount(monkeypatch, MOUNTS)
    assert network_kind(Path(path)) == kind


def test_an_unknown_file_system_counts_as_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mount(monkeypatch, [])
    assert network_kind(tmp_path) is None


def test_the_root_folder_of_this_machine_has_a_file_system() -> None:
    assert any(mount.mountpoint == "/" and mount.fstype for mount in psutil.disk_partitions(all=True))


@pytest.mark.parametrize("kind", [*sorted(NETWORK), "fuse.sshfs", "fuse.glusterfs"])
def test_each_network_file_system_is_refused_by_name(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount(monkeypatch, [("/", kind)])
    path = tmp_path / "mlflow.db"
    with pytest.raises(BadInput) as refused:
        refuse_network(path)
    assert str(refused.value) == (
        f"{path} would lie on {kind}, a network file system; "
        "allowed: tracking=server, or a folder on a disk of this machine"
    )


@pytest.mark.parametrize("path", ["/host/x", "/shared/x", "/usb/x", "/x"])
def test_file_systems_of_one_machine_are_not_refused(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    mount(monkeypatch, MOUNTS)
    assert network_kind(Path(path)) is None
    refuse_network(Path(path))


def test_a_refused_store_creates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mount(monkeypatch, [("/", "nfs")])
    root = tmp_path / "project"
    root.mkdir()
    with pytest.raises(BadInput, match=r"mlflow\.db would lie on nfs"):
        prepare(Project(root))
    assert list(root.iterdir()) == []
