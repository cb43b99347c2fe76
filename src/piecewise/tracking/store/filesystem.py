"""Which file system a path lies on: SQLite's write-ahead log needs memory that all who write to it share."""

from __future__ import annotations

import os
import re
from pathlib import Path

from piecewise.errors import BadInput

MOUNTS = Path("/proc/self/mountinfo")
# File systems that several machines write to by their nature. 9p, virtiofs and unnamed FUSE are not among them: they
# are how containers and virtual machines see a folder of their own host, where all who write are in one machine. Those
# of them that cannot share memory are found when the store is built there.
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
    """The network file system that `path` is on; None if it is on a local one, or the system does not say."""
    kind = kind_of(path.resolve(), mounts)
    return kind if kind is not None and kind.removeprefix("fuse.") in NETWORK else None


def kind_of(path: Path, mounts: Path) -> str | None:
    """The type of the longest mount that a resolved path is below; of several at one place, the last hides the rest."""
    if not mounts.is_file():
        return None
    longest, kind = -1, None
    for line in mounts.read_bytes().splitlines():
        left, _, right = line.partition(b" - ")
        place = Path(_unescaped(left.split()[4]))
        if path.is_relative_to(place) and len(place.parts) >= longest:
            longest, kind = len(place.parts), os.fsdecode(right.split()[0])
    return kind


def _unescaped(place: bytes) -> str:
    r"""The kernel writes a space as \040."""
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), place))
