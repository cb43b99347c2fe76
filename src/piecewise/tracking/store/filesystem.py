"""Refusing network file systems: SQLite's write-ahead log needs memory that all writers share, on one machine."""

from __future__ import annotations

import os
import re
from pathlib import Path

from piecewise.errors import BadInput

MOUNTS = Path("/proc/self/mountinfo")
# File systems that several machines can write to. 9p, virtiofs and unnamed FUSE are not listed: containers and virtual
# machines use them for a folder of their host, so all writers are on one machine. If one of them cannot share memory,
# building the store there fails.
NETWORK = {
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "auristorfs", "coda", "davfs", "davfs2"),
    *("lustre", "gpfs", "ceph", "ceph-fuse", "glusterfs", "beegfs", "fhgfs", "pvfs2", "orangefs", "panfs", "wekafs"),
    *("sshfs", "curlftpfs", "s3fs", "goofys", "mountpoint-s3", "gcsfuse", "blobfuse", "blobfuse2", "rclone", "juicefs"),
    *("mfs", "lizardfs"),
}
ELSEWHERE = "tracking=server, or a folder on a disk of this machine"


def refuse_network(path: Path, mounts: Path = MOUNTS) -> None:
    """Raises BadInput if `path`, which need not exist yet, is on a network file system."""
    kind = network_kind(path, mounts)
    if kind is not None:
        raise BadInput(f"{path} would lie on {kind}, a network file system; allowed: {ELSEWHERE}")


def network_kind(path: Path, mounts: Path = MOUNTS) -> str | None:
    """The network file system that `path` is on; None if it is on a local or an unknown one."""
    kind = kind_of(path.resolve(), mounts)
    return kind if kind is not None and kind.removeprefix("fuse.") in NETWORK else None


def kind_of(path: Path, mounts: Path) -> str | None:
    """The type of the longest mount point above a resolved path; a later one at the same point counts."""
    if not mounts.is_file():
        return None
    longest, kind = -1, None
    for line in mounts.read_bytes().splitlines():
        left, _, right = line.partition(b" - ")
        mount_point = Path(_unescaped(left.split()[4]))
        if path.is_relative_to(mount_point) and len(mount_point.parts) >= longest:
            longest, kind = len(mount_point.parts), os.fsdecode(right.split()[0])
    return kind


def _unescaped(name: bytes) -> str:
    r"""A mount point as it is named: the kernel writes a space as \040."""
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), name))
