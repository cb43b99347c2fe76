"""The schema's revision, read from migrations."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from piecewise.errors import PiecewiseError
from piecewise.tracking.store.schema import migrations, schema_head, schema_revisions


def write_migrations(folder: Path, **earlier: object) -> Path:
    for revision, before in earlier.items():
        (folder / f"{revision}_of_something.py").write_text(
            f"import unheard_of\n\nrevision: str = {revision!r}\ndown_revision = {before!r}\n\n"
            "def upgrade():\n    revision = 'another'\n"
        )
    return folder


def test_head_of_the_installed_mlflow_is_the_revision_nobody_builds_on() -> None:
    """By the text alone; that MLflow itself writes this revision is tested where a store is made."""
    text = "\n".join(path.read_text() for path in migrations().glob("*.py"))
    known = set(re.findall(r'^revision\b.*= "(\w+)"', text, re.MULTILINE))
    (head,) = known - set(re.findall(r'^down_revision\b.*= "(\w+)"', text, re.MULTILINE))
    assert schema_head() == head
    assert schema_revisions().keys() == known
    assert len(known) > 50


def test_mlflow_is_not_imported() -> None:
    code = (
        "import sys; from piecewise.tracking.store.schema import schema_head as f; f(); print('mlflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"


def test_branches_that_were_merged_have_one_head(tmp_path: Path) -> None:
    write_migrations(tmp_path, a=None, b="a", c="a", d=("b", "c"))
    assert schema_head(tmp_path) == "d"
    assert schema_revisions(tmp_path) == {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


def test_branches_that_were_not_merged_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PiecewiseError, match=r"end in 2 revisions, wanted 1: \['b', 'c'\]"):
        schema_head(write_migrations(tmp_path, a=None, b="a", c="a"))


def test_absent_mlflow_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sys, "modules", {name: module for name, module in sys.modules.items() if name != "mlflow"})
    with pytest.raises(PiecewiseError, match="MLflow is not installed"):
        schema_head()
