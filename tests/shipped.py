"""A copy of the shipped pipeline with some of its experiments, and the processes that run in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path

import yaml

from small_project import ROOT, Pipeline


def copy_shipped(root: Path, *experiments: str) -> Pipeline:
    """Copy the pipeline and the named experiments to `root`, as a git repository in which nothing has run yet."""
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("conf", "src", "pipelines"):
        shutil.copytree(ROOT / name, root / name, ignore=ignore)
    for name in ("dvc.yaml", "requirements.lock", ".dvcignore", ".gitignore", "pyproject.toml"):
        shutil.copy(ROOT / name, root)
    (root / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc" / "config", root / ".dvc")
    for path in (root / "conf" / "experiment").glob("*.yaml"):
        if path.stem not in experiments:
            path.unlink()
    content = yaml.safe_load((root / "dvc.yaml").read_text())
    content["vars"][0]["data_of"] = {name: content["vars"][0]["data_of"][name] for name in experiments}
    (root / "dvc.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    pipeline = Pipeline(root)
    pipeline.run("git", "init", "-q")
    return pipeline


def processes_in(root: Path) -> list[int]:
    """All other processes whose working directory this is: dvc, its stages, and the processes they have started."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or belongs to another user
            if (place / "cwd").readlink() == root and int(place.name) != os.getpid():
                found.append(int(place.name))
    return found


def wait_for_processes_to_end(root: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while left := processes_in(root):
        assert time.monotonic() < deadline, f"processes still running after {seconds} s: {left}"
        time.sleep(0.05)
