"""The commands and files that the README shows work as printed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from small_project import ROOT, Pipeline

pytestmark = pytest.mark.slow
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
LINES = [line.split("  #")[0].strip() for kind, text in BLOCKS if kind == "bash" for line in text.splitlines()]


@pytest.fixture
def project(pipeline: Pipeline) -> Iterator[Pipeline]:
    """The pipeline with the files that the README shows, and files that its commands read."""
    files = {}
    for kind, text in BLOCKS:
        name = text.partition("\n")[0].removeprefix("# ")
        if kind in ("python", "yaml"):
            files[name] = text.partition("\n")[2]
    for name, text in files.items():
        (pipeline.root / name).write_text(text)
    houses = np.random.default_rng(0).normal(size=(200, 3))
    np.savetxt(pipeline.root / "houses.csv", houses, delimiter=",", header="size,age,price", comments="")
    images = pipeline.root / "my_images"
    images.symlink_to(pipeline.root.parent / "mirror")
    yield pipeline
    for name in (*files, "houses.csv", "my_images"):
        (pipeline.root / name).unlink()


def test_every_command_line_works(project: Pipeline) -> None:
    assert len(LINES) > 10
    for line in LINES:
        check = next(check for start, check in CHECKS.items() if line.startswith(start))
        check(project, shlex.split(line))


def test_the_models_and_data_that_the_readme_adds_train(project: Pipeline) -> None:
    output = project.run("piecewise", "train", "experiment=bumps", "tracking=none")
    error = float(re.search(r"test/squared_error (\S+)", output).group(1))  # type: ignore[union-attr]
    assert error < 0.1
    project.run("piecewise", "train", "data=step", "model=bumps", "trainer=smoke", "tracking=none")


def _plans(project: Pipeline, words: list[str]) -> None:
    known = {path.stem for path in (project.root / "conf" / "experiment").glob("*.yaml")}
    named = [word.partition("=")[2] for word in words if word.startswith("experiment=")]
    assert set(named) <= known
    assert "nothing was started" in project.run(*words, "--dry-run")


def _runs(project: Pipeline, words: list[str]) -> None:
    project.run(*words)


def _has_help(project: Pipeline, words: list[str]) -> None:
    assert "usage: piecewise" in project.run(*words[:2], "--help")


def _is_a_target(project: Pipeline, words: list[str]) -> None:
    assert f"\n{words[1]}: " in (ROOT / "Makefile").read_text()


def _would_run(project: Pipeline, words: list[str]) -> None:
    project.run(*words[:2], "--dry", *words[2:])


def _names_a_key(project: Pipeline, words: list[str]) -> None:
    path, _, setting = words[words.index("-S") + 1].partition(":")
    assert setting.partition("=")[0] in yaml.safe_load((ROOT / Path(path)).read_text())


CHECKS: dict[str, Callable[[Pipeline, list[str]], None]] = {
    "make ": _is_a_target,
    "piecewise train ": _plans,
    "piecewise list": _runs,
    "piecewise ui": _has_help,
    "piecewise watch": _has_help,
    "piecewise resume": _has_help,
    "dvc repro": _would_run,
    "dvc exp run": _names_a_key,
    "dvc metrics diff": _runs,
}
