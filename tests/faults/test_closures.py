"""A changed token reruns exactly the stages that run its file; a comment, a docstring or a new layout reruns none.

What a stage runs is what tests/pipelines/test_closures.py has seen it import.
"""

from __future__ import annotations

import ast
import functools
import io
import keyword
import tokenize
from pathlib import Path
from random import Random

import pytest
import yaml

from piecewise import source
from piecewise.jobs.job import Job, read_jobs
from piecewise.jobs.source import _digest, closure, targets
from piecewise.planning import compose as composing
from piecewise.source import name_of
from shipped import copy_shipped
from small_project import ROOT
from trials import Trials

DATA_OF = yaml.safe_load((ROOT / "dvc.yaml").read_text())["vars"][0]["data_of"]
NUM_TRIALS = 60


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_shipped(tmp_path_factory.mktemp("closures") / "a project", *DATA_OF).root


@pytest.fixture
def checkout(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose source is digested, and not run. Its experiments are composed once."""
    monkeypatch.chdir(root)
    monkeypatch.setattr(source, "PACKAGE", root / "src" / "piecewise")
    monkeypatch.setattr(composing, "plan_experiment", functools.cache(composing.plan_experiment))
    return root


def compose(root: Path) -> dict[str, str]:
    """Run the stage `compose`; returns the digest of each other stage, `train/mnist_cnn` or `report`."""
    source.read_code.cache_clear()
    _digest.cache_clear()
    assert composing.compose(root / "conf", root / "build") == []
    folder = root / "build" / "source"
    return {path.relative_to(folder).with_suffix("").as_posix(): path.read_text() for path in folder.rglob("*.txt")}


def runs_of(root: Path, stages: list[str]) -> dict[str, set[Path]]:
    """The files that each stage runs."""
    found = {}
    for name in stages:
        stage, _, item = name.partition("/")
        jobs: list[Job] = read_jobs(root / "build" / "jobs" / f"{item}.json") if stage in ("train", "evaluate") else []
        data = [composing.read_group(root / "conf", "data", item)] if stage == "synthesise" else []
        named = targets([*(job.frozen for job in jobs), *data])
        found[name] = {*closure(stage, named), root / "pipelines" / f"{stage}.py"}
    return found


def with_another_token(text: str, rng: Random) -> str | None:
    """The code with one name, number or string changed that some run of it may meet; None if it has none."""
    tree = ast.parse(text)
    unrun = {
        line
        for node in ast.walk(tree)
        if (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))  # a docstring
        for line in range(node.lineno, (node.end_lineno or 0) + 1)
    }
    tokens = [
        token
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.start[0] not in unrun
        and (token.type == tokenize.NUMBER or (token.type == tokenize.NAME and not keyword.iskeyword(token.string)))
    ]
    while tokens:
        token = tokens.pop(rng.randrange(len(tokens)))
        lines = text.splitlines(keepends=True)
        (row, start), (_, end) = token.start, token.end
        new = "x_" + token.string if token.type == tokenize.NAME else f"1{token.string.lstrip('0xbo.')}"
        lines[row - 1] = lines[row - 1][:start] + new + lines[row - 1][end:]
        changed = "".join(lines)
        try:
            if ast.dump(ast.parse(changed)) != ast.dump(tree):
                return changed
        except SyntaxError:
            continue
    return None


def in_another_layout(text: str, rng: Random) -> str:
    """The code without comments, as Python prints its tree, with other comments and docstrings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body[0] = ast.Expr(ast.Constant(f"Something else, {rng.random()}."))
    lines = ast.unparse(tree).splitlines()
    return "\n".join(["# A comment.", *lines, "", "# Another."])


@pytest.mark.slow
def test_a_changed_token_reruns_exactly_the_stages_that_run_its_file(checkout: Path, trials: Trials) -> None:
    before = compose(checkout)
    assert len(before) > 15
    runs = runs_of(checkout, list(before))
    files = sorted([*(checkout / "pipelines").glob("*.py"), *source.PACKAGE.rglob("*.py")])
    files = [path for path in files if path.stat().st_size and "conf" not in path.parts]
    met = 0
    for rng in trials("a changed token reruns exactly the stages that run its file, another layout none", NUM_TRIALS):
        text = None
        while text is None:
            path = rng.choice(files)
            text = with_another_token(path.read_text("utf-8"), rng)
        original = path.read_bytes()
        try:
            path.write_text(in_another_layout(original.decode(), rng), "utf-8")
            assert compose(checkout) == before, path
            path.write_text(text, "utf-8")
            after = compose(checkout)
            expected = {name for name, held in runs.items() if path in held}
            assert {name for name in before if after[name] != before[name]} == expected, name_of(path)
            met += bool(expected)
        finally:
            path.write_bytes(original)
    assert compose(checkout) == before
    assert met or trials.count(NUM_TRIALS) < NUM_TRIALS / 4
