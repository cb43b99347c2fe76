"""Rules for imports: layers import downwards, and each outside library is imported in few places."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "piecewise"
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))

# A package or module may import from its own row and the rows before it.
ROWS: list[set[str]] = [
    {
        "errors",
        "extras",
        "shapes",
        "durable",
        "locks",
        "manifest",
        "stopping",
        "terminal",
        "processes",
        "project",
        "dvc_files",
        "process_settings",
        "source",
    },
    {"journal"},
    {"data"},
    {"models", "losses"},
    {"theory"},
    {"figures", "training"},
    {"jobs"},
    {"analysis"},
    {"tracking"},
    {"execution"},
    {"planning"},
    {"report", "health", "server"},
    {"commands"},
    {"cli", "worker", "stages", "__main__"},
]
ROW = {part: number for number, row in enumerate(ROWS) for part in row}

# Library: the only folders or files that may import it.
DOORS: dict[str, tuple[str, ...]] = {
    "matplotlib": ("figures/",),
    "mpl_toolkits": ("figures/",),
    "pytorch_lightning": ("training/", "jobs/trainer.py"),
    "lightning": (),
    "mlflow": ("tracking/", "server/mlflow_plugin/"),  # a client of MLflow's server, and a plugin inside it
    "hydra": ("planning/",),
    "omegaconf": ("planning/",),
    "torchvision": ("data/sources.py",),
    "dvc": (),
    "jinja2": ("report/",),
    "pydantic": ("jobs/targets.py",),
    "pydantic_core": ("jobs/targets.py",),
}
UNSAFE_MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
UNSAFE_CALLS = {"eval", "exec", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}


def nodes(node: ast.AST, runs: bool = True) -> Iterator[tuple[ast.AST, bool]]:
    """Every node below `node`, and whether it runs: code under `if TYPE_CHECKING` does not."""
    typing_only = isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
    for child in ast.iter_child_nodes(node):
        child_runs = runs and not (typing_only and isinstance(node, ast.If) and child in node.body)
        yield child, child_runs
        yield from nodes(child, child_runs)


@cache  # a dozen tests look at each file
def imports(source: str) -> list[tuple[str, int, bool]]:
    return list(_imports(source))


def _imports(source: str) -> Iterator[tuple[str, int, bool]]:
    """(module, line, whether it runs) of every import; `from piecewise import x` is an import of piecewise.x."""
    for node, runs in nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno, runs) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            names = [f"piecewise.{alias.name}" for alias in node.names] if module == "piecewise" else [module]
            yield from ((name, node.lineno, runs) for name in names)


def layer_faults(source: str, file: str) -> list[str]:
    own = file.split("/")[0].removesuffix(".py")
    faults = []
    for module, line, _ in imports(source):
        top, *rest = module.split(".")
        if module.startswith("."):
            faults.append(f"{file}:{line}: a relative import hides its layer")
        elif top == "piecewise" and (not rest or rest[0] not in ROW or ROW[rest[0]] > ROW.get(own, -1)):
            faults.append(f"{file}:{line}: {own} must not import {module}")
    return faults


def tracking_faults(source: str, file: str) -> list[str]:
    """Inside tracking, each part may import itself and the parts before it in `parts`."""
    parts = ["tags", "store", "mirror", "sync"]
    own = file.split("/")[1].removesuffix(".py")
    return [
        f"{file}:{line}: tracking/{own} must not import {module}"
        for module, line, _ in imports(source)
        if module.startswith("piecewise.tracking.") and parts.index(module.split(".")[2]) > parts.index(own)
    ]


def door_faults(source: str, file: str, tool: str) -> list[str]:
    return [
        f"{file}:{line}: {tool} belongs in {' or '.join(DOORS[tool]) or 'no file'}"
        for module, line, runs in imports(source)
        if runs and module.split(".")[0] == tool and not file.startswith(DOORS[tool])
    ]


def unsafe_faults(source: str, file: str) -> list[str]:
    faults = [
        f"{file}:{line}: import of {name}" for name, line, _ in imports(source) if name.split(".")[0] in UNSAFE_MODULES
    ]
    for node, _ in nodes(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in UNSAFE_CALLS:
            faults.append(f"{file}:{node.lineno}: {ast.unparse(node.func)}(")
    faults += [f"{file}:{n}: allow_pickle" for n, line in enumerate(source.splitlines(), 1) if "allow_pickle" in line]
    return faults


def torch_loads(source: str) -> list[ast.Call]:
    calls = [node for node, _ in nodes(ast.parse(source)) if isinstance(node, ast.Call)]
    return [call for call in calls if ast.unparse(call.func) == "torch.load"]


def read(file: str) -> str:
    return (PACKAGE / file).read_text("utf-8")


def test_every_package_has_a_row() -> None:
    """A new package must be added to ROWS."""
    assert len(FILES) > 40
    assert {file.split("/")[0].removesuffix(".py") for file in FILES} - {"__init__"} == set(ROW)


def test_imports_point_downwards() -> None:
    assert [fault for file in FILES for fault in layer_faults(read(file), file)] == []


def test_imports_inside_tracking_point_downwards() -> None:
    files = [file for file in FILES if file.startswith("tracking/") and file != "tracking/__init__.py"]
    assert [fault for file in files for fault in tracking_faults(read(file), file)] == []
    upwards = "from piecewise.tracking.sync.waiting import Backoff"
    assert tracking_faults(upwards, "tracking/mirror/x.py") == [
        "tracking/mirror/x.py:1: tracking/mirror must not import piecewise.tracking.sync.waiting"
    ]


@pytest.mark.parametrize("tool", DOORS)
def test_a_library_is_imported_only_where_allowed(tool: str) -> None:
    assert [fault for file in FILES for fault in door_faults(read(file), file, tool)] == []


def test_nothing_that_git_ignores_is_part_of_the_checkout() -> None:
    """Data, wheels and results stay out, also if a merge brings them back."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout")
    command = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == []


def test_reading_a_file_never_runs_code_from_it() -> None:
    files = [*PACKAGE.rglob("*.py"), *(ROOT / "pipelines").rglob("*.py")]
    assert [fault for path in files for fault in unsafe_faults(path.read_text("utf-8"), path.name)] == []


def test_checkpoints_are_read_in_one_place_and_only_as_tensors() -> None:
    loads = [(file, call) for file in FILES for call in torch_loads(read(file))]
    assert len({file for file, _ in loads}) == 1
    for file, call in loads:
        assert [ast.unparse(k.value) for k in call.keywords if k.arg == "weights_only"] == ["True"], file


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("from piecewise.training.fit import fit", "models/x.py:1: models must not import piecewise.training.fit"),
        ("import piecewise.jobs", "models/x.py:1: models must not import piecewise.jobs"),
        ("from piecewise import theory", "models/x.py:1: models must not import piecewise.theory"),
        ("def f():\n    import piecewise.cli", "models/x.py:2: models must not import piecewise.cli"),
        ("from piecewise.unknown import x", "models/x.py:1: models must not import piecewise.unknown"),
        ("from ..training import fit", "models/x.py:1: a relative import hides its layer"),
    ],
)
def test_the_checker_finds_an_import_upwards(source: str, fault: str) -> None:
    assert layer_faults(source, "models/x.py") == [fault]
    assert layer_faults("from piecewise.losses import x\nimport piecewise.errors", "models/x.py") == []


def test_the_checker_finds_a_library_outside_its_place() -> None:
    hidden = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import mlflow\nelse:\n    from mlflow import x\n"
    fault = "jobs/x.py:5: mlflow belongs in tracking/ or server/mlflow_plugin/"
    assert door_faults(hidden, "jobs/x.py", "mlflow") == [fault]
    assert door_faults(hidden, "tracking/x.py", "mlflow") == []
    assert door_faults("def f():\n  import dvc.repo", "cli.py", "dvc") == ["cli.py:2: dvc belongs in no file"]
    assert door_faults("import hydra_zen", "cli.py", "hydra") == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "yaml.load(f)",
        "x = eval(y)",
        "exec(y)",
        "np.load(f, allow_pickle=True)",
    ],
)
def test_the_checker_finds_unsafe_calls_and_imports(line: str) -> None:
    assert len(unsafe_faults(f"model.eval()\n{line}", "x.py")) == 1
    assert unsafe_faults("model.eval()\nyaml.safe_load(f)\nimport pickletools", "x.py") == []
