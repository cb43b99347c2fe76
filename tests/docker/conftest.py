"""Fixtures for the tests of docker/: compose.yaml as data, and the linters."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from small_project import ROOT

DOCKER = ROOT / "docker"


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return content


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs that tools.lock installs. Skips if they cannot be installed."""
    place = tmp_path_factory.mktemp("tools")
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    lock = ROOT / "tests" / "docker" / "tools.lock"
    pip = [place / "bin" / "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:", "-r", lock]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode:
        assert "CI" not in os.environ, done.stderr
        pytest.skip(f"the packages of tools.lock could not be installed: {done.stderr.splitlines()[-1]}")
    return place / "bin"
