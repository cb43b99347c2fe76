"""Where a run comes from: the commit and the lock."""

from __future__ import annotations

import hashlib
import subprocess

from piecewise.project import Project


def lock_digest() -> str:
    """SHA-256 of the lock that the environment was installed from."""
    path = Project.find().lock
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "none"


def git_state() -> dict[str, str]:
    """The commit and whether the tree differs from it, as tags; empty outside a checkout.

    `dvc.lock` does not count: another machine's bits may differ from the record without the source being touched.
    """
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return {}
    changes = _git("status", "--porcelain", "--", ".", ":(exclude)dvc.lock")
    return {"git.commit": commit, "git.dirty": str(bool(changes)).lower()}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
