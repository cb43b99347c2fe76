"""The schema that the installed MLflow expects of its store, read from its migrations without importing it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from piecewise.errors import PiecewiseError


def schema_head(folder: Path | None = None) -> str:
    """The revision that no other one builds on. Raises PiecewiseError unless there is exactly one."""
    revisions = schema_revisions(folder)
    heads = revisions.keys() - {earlier for several in revisions.values() for earlier in several}
    if len(heads) != 1:
        raise PiecewiseError(f"MLflow's migrations end in {len(heads)} revisions, wanted 1: {sorted(heads)}")
    return heads.pop()


def schema_revisions(folder: Path | None = None) -> dict[str, tuple[str, ...]]:
    """Every revision in `folder` (MLflow's own by default), and those it builds on: two where branches were merged."""
    revisions = {}
    for path in sorted((folder or migrations()).glob("*.py")):
        assigned = dict(_assigned(path))
        if "revision" in assigned:
            earlier = assigned.get("down_revision")
            revisions[assigned["revision"]] = (earlier,) if isinstance(earlier, str) else tuple(earlier or ())
    return revisions


def migrations() -> Path:
    """The folder of the installed MLflow's migrations. Raises PiecewiseError if there is no MLflow."""
    spec = find_spec("mlflow")
    if spec is None or spec.origin is None:
        raise PiecewiseError("MLflow is not installed")
    return Path(spec.origin).parent / "store" / "db_migrations" / "versions"


def _assigned(path: Path) -> Iterator[tuple[str, Any]]:
    """What a file's top level calls its revision and those before it, annotated or not."""
    for node in ast.parse(path.read_bytes()).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name) and target.id in ("revision", "down_revision"):
                    yield target.id, ast.literal_eval(node.value)
