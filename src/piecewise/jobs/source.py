"""Digests of the source that each stage runs; comments, docstrings and layout do not change them."""

import ast
import hashlib
from pathlib import Path

PACKAGE = Path(__file__).parents[1]

_DATA = ("errors.py", "durable.py", "data/randomness.py", "data/idx.py", "data/spec.py", "data/stored.py")
_SETS = tuple(
    f"data/{name}.py" for name in ["synthetic", "regression", "classification", "curved_classes", "ranges", "mnist1d"]
)
_MODELS = (
    "errors.py",
    "shapes.py",
    "data/*.py",
    "models/*.py",
    "losses/*.py",
    "training/*.py",
    "jobs/build.py",
    "jobs/config.py",
)

# The files that each stage's result can depend on, as patterns below src/piecewise.
CLOSURES: dict[str, tuple[str, ...]] = {
    "fetch": ("errors.py", "durable.py", "data/idx.py", "data/sources.py"),
    "synthesise": (*_DATA, *_SETS),
    "train": (
        *_MODELS,
        "journal/*.py",
        "jobs/digests.py",
        "jobs/job.py",
        "jobs/overrides.py",
        "jobs/version_1.py",
        "jobs/targets.py",
        "jobs/trainer.py",
        "jobs/run_key.py",
        "execution/train.py",
        "execution/fit.py",
    ),
    "evaluate": (*_MODELS, "theory/*.py", "analysis/figure_arrays.py", "analysis/evaluate.py", "analysis/trained.py"),
    "report": ("figures/*.py", "report/*", "tracking/**/*.py", "analysis/draw.py"),
}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
FETCH_ONLY = {"data/sources.py"}  # other stages read bytes that fetch has verified, however they were downloaded


def source_digest(closure: str) -> str:
    """SHA-256 of the syntax trees of the files in `CLOSURES[closure]`."""
    patterns = CLOSURES[closure]
    files = {path for pattern in patterns for path in PACKAGE.glob(pattern) if path.is_file()}
    hashed = hashlib.sha256()
    for path in sorted(files):
        name = path.relative_to(PACKAGE).as_posix()
        if "__pycache__" in name or (name in FETCH_ONLY and name not in patterns):
            continue
        content = normalised(path.read_text("utf-8")) if path.suffix == ".py" else path.read_text("utf-8")
        hashed.update(f"{name}\n{content}\n".encode())
    return hashed.hexdigest()


def normalised(source: str) -> str:
    """Python source without comments, docstrings and layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
