"""File systems, read from the kernel's list of mounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from piecewise.errors import BadInput
from piecewise.project import Project
from piecewise.tracking.store.embedded import prepare
from piecewise.tracking.store.filesystem import NETWORK, kind_of, network_kind, refuse_network

LIST = r"""22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /home rw,relatime - nfs4 server:/home rw,addr=192.0.2.1
24 23 0:22 / /home/me/local rw,relatime - ext4 /dev/vdb rw
25 22 0:23 / /mnt/two\040words rw - fuse.sshfs me@server:/ rw
26 22 0:24 / /mnt/é rw - cifs //server/x rw
27 22 0:25 / /over rw - nfs server:/ rw
28 22 0:26 / /over rw - tmpfs tmpfs rw
29 22 0:27 / /host rw - 9p host rw
30 22 0:28 / /shared rw - virtiofs host rw
31 22 0:29 / /usb rw - fuseblk /dev/sdb1 rw
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text(LIST)
    return path


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/a", "ext4"),
        ("/home/me/project/mlflow.db", "nfs4"),
        ("/homes/me", "ext4"),  # a neighbour with a longer name
        ("/home/me/local/project", "ext4"),
        ("/mnt/two words/project", "fuse.sshfs"),
        ("/mnt/é/project", "cifs"),
        ("/over/x", "tmpfs"),  # the last mount hides the one below
        ("/host/x", "9p"),
    ],
)
def test_the_longest_mount_point_counts(mounts: Path, path: str, kind: str) -> None:
    assert kind_of(Path(path), mounts) == kind
    assert network_kind(Path(path), mounts) == (kind if kind in ("nfs4", "fuse.sshfs", "cifs") else None)


def test_an_unknown_file_system_counts_as_local(tmp_path: Path) -> None:
    assert kind_of(tmp_path, tmp_path / "absent") is None
    assert network_kind(tmp_path, tmp_path / "absent") is None


def test_the_root_of_this_machine_has_a_file_system() -> None:
    assert kind_of(Path("/"), Path("/proc/self/mountinfo"))


@pytest.mark.parametrize("kind", [*sorted(NETWORK), "fuse.sshfs", "fuse.glusterfs"])
def test_each_network_file_system_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 1 0:1 / / rw - {kind} server:/x rw\n")
    path = tmp_path / "mlflow.db"
    with pytest.raises(BadInput) as refused:
        refuse_network(path, mounts)
    assert str(refused.value) == (
        f"{path} would lie on {kind}, a network file system; "
        "allowed: tracking=server, or a folder on a disk of this machine"
    )


@pytest.mark.parametrize("path", ["/host/x", "/shared/x", "/usb/x", "/x"])
def test_file_systems_of_one_machine_are_not_refused(mounts: Path, path: str) -> None:
    refuse_network(Path(path), mounts)
    assert network_kind(Path(path), mounts) is None


def test_a_refused_store_creates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from piecewise.tracking.store import embedded

    mounts, root = tmp_path / "mountinfo", tmp_path / "project"
    mounts.write_text("1 1 0:1 / / rw - nfs server:/x rw\n")
    root.mkdir()
    monkeypatch.setattr(embedded, "refuse_network", lambda path: refuse_network(path, mounts))
    with pytest.raises(BadInput, match=r"mlflow\.db would lie on nfs"):
        prepare(Project(root))
    assert list(root.iterdir()) == []
