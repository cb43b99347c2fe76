from __future__ import annotations

import ast
from pathlib import Path

import pytest

from piecewise.jobs import source
from piecewise.jobs.source import CLOSURES, PACKAGE, normalised, source_digest

CODE = '"""Doc."""\n\n\ndef f(x):\n    """Doc."""\n    return x + 1\n'


@pytest.mark.parametrize(
    "same",
    [
        CODE.replace("return x + 1", "return x + 1  # a comment"),
        CODE.replace('"""Doc."""', '"""Another."""'),
        CODE.replace("return x + 1", "return (x\n            + 1)"),
        "# a comment\n" + CODE,
    ],
)
def test_comments_docstrings_and_layout_do_not_count(same: str) -> None:
    assert normalised(same) == normalised(CODE)


def test_a_change_of_code_changes_the_normalised_source() -> None:
    assert normalised(CODE.replace("+ 1", "+ 2")) != normalised(CODE)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("training/fit.py", "figures/fit.py", "models/mlp.py", "data/sources.py", "data/regression.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(CODE)
    monkeypatch.setattr(source, "PACKAGE", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("edited", "changed"),
    [
        ("training/fit.py", {"train", "evaluate"}),
        ("models/mlp.py", {"train", "evaluate"}),
        ("figures/fit.py", {"report"}),
        ("data/sources.py", {"fetch"}),
        ("data/regression.py", {"synthesise", "train", "evaluate"}),
    ],
)
def test_an_edit_changes_the_digests_of_the_stages_that_run_it(package: Path, edited: str, changed: set[str]) -> None:
    before = {closure: source_digest(closure) for closure in source.CLOSURES}
    (package / edited).write_text(CODE.replace("+ 1", "+ 2"))
    assert {closure for closure in source.CLOSURES if source_digest(closure) != before[closure]} == changed


def test_every_pattern_of_a_closure_finds_a_file() -> None:
    for patterns in source.CLOSURES.values():
        assert all(list(source.PACKAGE.glob(pattern)) for pattern in patterns)


# Modules that a stage imports but that cannot change its numbers: they write files, and name, start and stop runs.
NO_RESULT = {
    "durable.py",
    "locks.py",
    "stopping.py",
    "terminal.py",
    "manifest.py",
    "jobs/provenance.py",
    "jobs/source.py",
    "jobs/about.py",
    "processes.py",
    "project.py",
    "process_settings.py",
    "execution/ranks.py",
    "execution/resume.py",
}


def imported(name: str) -> set[str]:
    """The files of the package that `name` imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / name).read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("piecewise"):
            base = "/".join((node.module or "").split(".")[1:])
            found |= {f"{base}.py", *(f"{base}/{alias.name}.py".lstrip("/") for alias in node.names)}
    return {path for path in found if (PACKAGE / path).is_file()}


def reached(name: str) -> set[str]:
    found, waiting = {name}, [name]
    while waiting:
        new = imported(waiting.pop()) - found
        found |= new
        waiting += new
    return found


@pytest.mark.parametrize(("closure", "entry"), [("train", "execution/train.py"), ("evaluate", "analysis/evaluate.py")])
def test_a_closure_holds_everything_its_result_may_depend_on(closure: str, entry: str) -> None:
    held = {path.relative_to(PACKAGE).as_posix() for pattern in CLOSURES[closure] for path in PACKAGE.glob(pattern)}
    # The training's result is an input of the evaluation.
    others = set() if closure == "train" else reached("execution/train.py")
    missing = reached(entry) - held - others - NO_RESULT
    assert "jobs/build.py" in reached(entry)
    assert missing == set()
