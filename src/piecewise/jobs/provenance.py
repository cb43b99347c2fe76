"""Where a run comes from: its commit and its installed packages."""

from __future__ import annotations

import hashlib
import subprocess

from piecewise.jobs.installed import installed_requirements
from piecewise.project import Project


def lock_digest() -> str:
    """SHA-256 of the project's lock; without a lock, of the installed versions of all packages that piecewise needs."""
    path = Project.find().lock
    content = path.read_bytes() if path.is_file() else "\n".join(installed_requirements()).encode()
    return hashlib.sha256(content).hexdigest()


def git_state() -> dict[str, str]:
    """The tags `git.commit` and `git.dirty`; empty outside a checkout.

    Changes of `dvc.lock` do not count: another machine's results may differ from the record with the same source.
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
