"""A stored data set is made anew when something that decides its examples has changed, and only then."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from data.small_sets import SMALL
from piecewise import source
from piecewise.data.regression import Line
from piecewise.data.stored import Generated
from piecewise.data.synthetic import Synthetic


def changed(before: list[dict[str, object]]) -> set[str]:
    source.read_code.cache_clear()
    return {each.name for each, recipe in zip(SMALL, before, strict=True) if each.recipe() != recipe}


def decided_by(name: str) -> set[str]:
    """The sets whose examples the file data/`name`.py decides."""
    if name in ("synthetic", "randomness"):
        return {each.name for each in SMALL if isinstance(each, Synthetic)}
    return {each.name for each in SMALL if type(each).__module__ == f"piecewise.data.{name}"}


def test_a_recipe_changes_with_the_code_that_decides_the_examples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(source.PACKAGE, tmp_path / "package", ignore=shutil.ignore_patterns("__pycache__", "conf"))
    monkeypatch.setattr(source, "PACKAGE", tmp_path / "package")
    paths = [
        tmp_path / "package" / "durable.py",
        tmp_path / "package" / "errors.py",
        *(tmp_path / "package" / "data").glob("*.py"),
    ]
    assert {each.name for each in SMALL} == set().union(*(decided_by(path.stem) for path in paths))
    before = [each.recipe() for each in SMALL]
    for path in paths:
        path.write_text(f"# a comment\n{path.read_text()}")
    assert changed(before) == set()
    for path in paths:
        before = [each.recipe() for each in SMALL]
        path.write_text(f"{path.read_text()}\nCHANGED = True\n")
        assert changed(before) == (decided_by(path.stem) if path.parent.name == "data" else set()), path


def test_a_recipe_changes_with_the_version_of_the_package_that_computes_the_examples(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = [each.recipe() for each in SMALL]
    monkeypatch.setattr("piecewise.data.stored.version", lambda name: f"9 of {name}")
    assert changed(before) == {"mnist1d"}
    assert [each.recipe()["packages"] for each in SMALL if each.packages] == [{"mnist1d": "9 of mnist1d"}]


def test_packages_are_those_that_a_set_imports_beside_torch_and_numpy() -> None:
    """numpy and torch compute every set; the lock of the environment stands for them."""
    for each in SMALL:
        (path,) = source.files_of(type(each).__module__)[-1:]
        tops = {name.partition(".")[0] for name in source.read_code(path).imports}
        assert tops & {"mnist1d", "scipy", "sklearn", "torchvision"} == set(each.packages)


def test_a_set_outside_the_package_has_a_recipe_too(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Steep(Line):
        slope: float = 9.0

    mine: Generated = Steep(num_train=3, num_test=2, folder=str(tmp_path))
    assert mine.recipe()["code"] != Line(num_train=3, num_test=2).recipe()["code"]
    mine.write("train", tmp_path / "train.safetensors")
    assert mine.read("train").x.shape == (3, 1)
