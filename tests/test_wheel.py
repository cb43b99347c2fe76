"""The wheel, installed without this repository, works in a project that has only a conf/."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from piecewise.journal.reader import read_journal
from small_project import ROOT

Run = Callable[..., str]

# What a reader copies into conf/config.yaml.
(CONFIG,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "own_project.md").read_text(), re.DOTALL)
MINE = """\
# @package _global_
about: {question: "Do I fit?"}
defaults: [override /model: mlp]
data: {num_train: 40}
batch_size: 10
"""
NESTED = "conf/experiment/of_the_tests/fit.yaml"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("src", "conf"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignored)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    (source / NESTED).parent.mkdir()
    (source / NESTED).write_text(MINE)
    call = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps", "-w", built, source]
    subprocess.run(call, check=True)
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a new environment that has the wheel, and all other packages of this environment."""
    venv = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (site,) = venv.glob("lib/python*/site-packages")
    # Python ignores .pth files in a folder that another .pth file adds, so the editable piecewise is not found.
    (site / "other_packages.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    pip = [sys.executable, "-m", "pip", "--python", venv / "bin" / "python"]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", wheel], check=True)
    return venv / "bin"


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> Run:
    """`run("train", …)` returns what the installed command prints in a project that has only a conf/."""
    root = tmp_path / "a project"
    for name, text in (("config.yaml", CONFIG), ("experiment/mine.yaml", MINE)):
        (root / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "conf" / name).write_text(text)
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment |= {"PATH": f"{installed}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}

    def output(*arguments: str, **more: str) -> str:
        command = [installed / "piecewise", *arguments]
        done = subprocess.run(
            command, cwd=root, env=environment | more, capture_output=True, text=True, check=False, timeout=300
        )
        assert (done.returncode, "Warning" in done.stderr) == (0, False), f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return output


def test_the_wheel_has_every_configuration(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".yaml")}
    shipped = {f"piecewise/{path.relative_to(ROOT)}" for path in (ROOT / "conf").rglob("*.yaml")}
    assert names == {*shipped, f"piecewise/{NESTED}"}


def test_experiments_of_the_package_and_of_the_project_train(run: Run, tmp_path: Path) -> None:
    for experiment in ("shallow_regression", "mine"):
        run("train", f"experiment={experiment}", "trainer.max_epochs=1", "model.width=4")
        assert "test/squared_error" in run("evaluate", "last")
    records = [read_journal(path) for path in (tmp_path / "a project" / "runs").glob("*/journal.jsonl")]
    locks = {record.start.name: record.start.digests["lock"] for record in records if record is not None}
    assert locks.keys() == {"shallow_regression", "mine"}
    assert all(re.fullmatch("[0-9a-f]{64}", lock) for lock in locks.values())
    run("doctor")
    assert list((tmp_path / "a project").glob("*.log")) == []  # Hydra writes none


def test_configurations_of_the_package_and_of_the_project_are_shown(run: Run) -> None:
    listed = run("list")
    assert re.search(r"^mine +Do I fit\?$", listed, re.MULTILINE)
    assert re.search(r"^mnist_cnn +\w", listed, re.MULTILINE)
    assert re.search(r"^resnet +\w", run("list", "model"), re.MULTILINE)
    shown = run("show", "experiment=mine")
    assert re.search(r"^  num_train: 40 +# conf/experiment/mine.yaml$", shown, re.MULTILINE)
    assert re.search(r"^  depth: \d+ +# pkg://piecewise.conf/model/mlp.yaml$", shown, re.MULTILINE)
    line = "piecewise train experiment=mi"
    assert run("-sc", "query=bash", COMP_LINE=line) == "experiment=mine\n"
    assert run("-sc", "query=bash", COMP_LINE="piecewise train model=resn") == "model=resnet\n"
