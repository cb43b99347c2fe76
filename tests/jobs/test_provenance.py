"""The installed packages that piecewise needs, against importlib.metadata and an environment made by hand."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import time
from collections.abc import Iterator
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from piecewise.jobs.provenance import OWN_NAME, git_state, installed_requirements, lock_digest
from piecewise.project import Project


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    installed_requirements.cache_clear()
    yield
    installed_requirements.cache_clear()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which Python looks for installed packages; it is empty."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return tmp_path


def install(site: Path, name: str, number: str, *requirements: str) -> None:
    folder = site / f"{name}-{number}.dist-info"
    folder.mkdir()
    lines = [f"Name: {name}", f"Version: {number}", *(f"Requires-Dist: {text}" for text in requirements)]
    text = "\n".join(["Metadata-Version: 2.1", *lines, "", "Requires-Dist: a-word-of-the-description"])
    (folder / "METADATA").write_text(text)


def test_requirements_are_followed_with_their_markers_and_extras(site: Path) -> None:
    install(site, OWN_NAME, "0.1", "Direct_One[fast]>=1", "other; sys_platform == 'none'", 'dev-tool; extra == "dev"')
    install(site, "direct-one", "1.0", "indirect (<3)", 'speed>=2; extra == "fast"', 'unused; extra == "slow"')
    install(site, "indirect", "2.0", OWN_NAME, "missing")
    for name in ("speed", "other", "dev-tool", "unused", "stranger"):
        install(site, name, "3.0")
    assert installed_requirements() == ["direct-one==1.0", "indirect==2.0", "speed==3.0"]


def test_all_packages_count_where_piecewise_is_not_installed(site: Path) -> None:
    install(site, "one", "1")
    install(site, "two", "2", "three")
    assert installed_requirements() == ["one==1", "two==2"]


def test_every_direct_requirement_has_its_installed_version() -> None:
    found = dict(text.split("==") for text in installed_requirements())
    for text in requires(OWN_NAME) or []:
        if "extra ==" not in text:
            name = canonicalize_name(Requirement(text).name)
            assert found[name] == version(name)
    assert "pytest" not in found  # only the extra `dev` names it
    assert len(found) > 100


def test_reading_is_quick() -> None:
    start = time.process_time()
    installed_requirements()
    assert time.process_time() - start < 0.2  # 0.045 s on an idle machine


def test_without_a_lock_the_installed_versions_make_the_digest(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = lock_digest()
    assert locked == hashlib.sha256(project.lock.read_bytes()).hexdigest()
    project.lock.unlink()
    unlocked = lock_digest()
    assert re.fullmatch("[0-9a-f]{64}", unlocked)
    assert unlocked != locked
    assert lock_digest() == unlocked
    monkeypatch.setattr("piecewise.jobs.provenance.installed_requirements", lambda: ["torch==2.14.2"])
    assert lock_digest() == hashlib.sha256(b"torch==2.14.2").hexdigest() != unlocked


@pytest.mark.parametrize(
    ("script", "state"),
    [
        ("echo abc", {"git.commit": "abc", "git.dirty": "true"}),
        ('if [ "$1" = rev-parse ]; then echo abc; fi', {"git.commit": "abc", "git.dirty": "false"}),
        # As `git status` does with a damaged index.
        ('if [ "$1" = rev-parse ]; then echo abc; else exit 128; fi', {"git.commit": "abc", "git.dirty": "unknown"}),
        ('printf "\\377 M a"', {"git.commit": "\N{REPLACEMENT CHARACTER} M a", "git.dirty": "true"}),
        ("exit 128", {}),  # outside a checkout
    ],
)
def test_changes_that_git_cannot_tell_are_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, state: dict[str, str]
) -> None:
    git = tmp_path / "git"
    git.write_text(f"#!/bin/sh\n{script}\n")
    git.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert git_state() == state


def test_comments_of_a_lock_do_not_count_and_its_pins_do(project: Project) -> None:
    pins = b"torch==2.14.1 \\\n    --hash=sha256:0\n"
    project.lock.write_bytes(pins)
    plain = lock_digest()
    assert plain == hashlib.sha256(pins).hexdigest(), "runs of earlier versions recorded the digest of the whole file"
    project.lock.write_bytes(b"# made by uv\n\n" + pins + b"    # via lightning\n")
    assert lock_digest() == plain
    project.lock.write_bytes(pins.replace(b"2.14.1", b"2.14.2"))
    assert lock_digest() != plain
