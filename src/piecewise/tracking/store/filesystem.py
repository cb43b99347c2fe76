"""Refusing network file systems: SQLite's write-ahead log needs memory that all writers share, on one machine."""

from pathlib import Path

from piecewise.errors import BadInput

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


def refuse_network(path: Path) -> None:
    """Raises BadInput if `path`, which need not exist yet, is on a network file system."""
    kind = network_kind(path)
    if kind is not None:
        raise BadInput(f"{path} would lie on {kind}, a network file system; allowed: {ELSEWHERE}")


def network_kind(path: Path) -> str | None:
    """The network file system that `path` is on; None if it is on a local or an unknown one."""
    import psutil  # here, because a command in a project without a store does not need it

    try:
        mounts = psutil.disk_partitions(all=True)
    except OSError:  # no /proc
        return None
    resolved = path.resolve()
    above = [mount for mount in mounts if resolved.is_relative_to(mount.mountpoint)]
    # The longest mount point counts; of several mounts there, the last one, which hides the others.
    nearest = max(reversed(above), key=lambda mount: len(Path(mount.mountpoint).parts), default=None)
    return nearest.fstype if nearest and nearest.fstype.removeprefix("fuse.") in NETWORK else None
