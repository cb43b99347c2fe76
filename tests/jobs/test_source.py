from __future__ import annotations

from pathlib import Path

import pytest

from piecewise.jobs import source
from piecewise.jobs.source import normalised, source_digest

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


def test_code_counts() -> None:
    assert normalised(CODE.replace("+ 1", "+ 2")) != normalised(CODE)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("training/fit.py", "figures/fit.py", "models/mlp.py", "data/sources.py", "data/synthetic.py"):
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
        ("data/synthetic.py", {"synthesise", "train", "evaluate"}),
    ],
)
def test_edit_reaches_the_stages_that_run_it(package: Path, edited: str, changed: set[str]) -> None:
    before = {closure: source_digest(closure) for closure in source.CLOSURES}
    (package / edited).write_text(CODE.replace("+ 1", "+ 2"))
    assert {closure for closure in source.CLOSURES if source_digest(closure) != before[closure]} == changed


def test_every_pattern_of_a_closure_finds_a_file() -> None:
    for patterns in source.CLOSURES.values():
        assert all(list(source.PACKAGE.glob(pattern)) for pattern in patterns)
