"""Blocked releases are found in the metadata of installed packages, without importing them."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from piecewise.errors import BadInput
from piecewise.execution.blocked_releases import BLOCKED, blocked, refuse_blocked, reinstall

ROOT = Path(__file__).parents[2]
REFUSED = [
    ("pytorch-lightning", "2.6.2"),
    ("pytorch-lightning", "2.6.3"),
    ("lightning", "2.6.2"),
    ("lightning", "2.6.3"),
    ("mlflow", "3.12.9"),
    ("torch", "2.9.1+cpu"),
    ("hydra-core", "1.3.5"),
]
ALLOWED = [
    ("pytorch-lightning", "2.6.1"),
    ("pytorch-lightning", "2.6.6"),
    ("lightning", "2.6.4"),
    ("mlflow", "3.13.0"),
    ("torch", "2.10.0+cpu"),
    ("hydra-core", "1.3.6"),
]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which Python looks for installed packages; it is empty."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return tmp_path


def install(site: Path, package: str, version: str) -> None:
    folder = site / f"{package.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")


@pytest.mark.parametrize(("package", "version"), REFUSED)
def test_blocked_release_is_named_and_refused(site: Path, package: str, version: str) -> None:
    install(site, package, version)
    (sentence,) = blocked()
    assert sentence.startswith(f"{package} {version} is installed: ")
    with pytest.raises(BadInput) as raised:
        refuse_blocked()
    assert sentence in str(raised.value)
    assert str(raised.value).endswith(reinstall())


@pytest.mark.parametrize(("package", "version"), ALLOWED)
def test_release_that_is_not_blocked_passes(site: Path, package: str, version: str) -> None:
    install(site, package, version)
    assert blocked() == []
    refuse_blocked()


def test_several_blocked_releases_are_named_in_one_message(site: Path) -> None:
    install(site, "torch", "2.0")
    install(site, "hydra-core", "1.1")
    with pytest.raises(BadInput, match=r"^torch 2\.0 is installed: .*; hydra-core 1\.1 is installed: ") as raised:
        refuse_blocked()
    assert "\n" not in str(raised.value)


def test_a_blocked_release_is_found_without_importing_it(site: Path) -> None:
    install(site, "lightning", "2.6.3")
    (site / "lightning.py").write_text("raise SystemExit('it was imported')")
    assert len(blocked()) == 1
    assert "lightning" not in sys.modules


def test_pyproject_allows_no_blocked_release() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = {each.name: each.specifier for each in map(Requirement, project["dependencies"])}
    for package, version in REFUSED:
        if package in required:
            assert version not in required[package]
    assert required.keys() >= BLOCKED.keys() - {"lightning"}


def test_the_reinstall_command_uses_this_environments_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/a place/bin/python")
    expected = "'/a place/bin/python' -m pip install --require-hashes --requirement requirements.lock"
    assert reinstall() == expected
