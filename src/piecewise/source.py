"""What Python files do: a digest that comments, docstrings and layout do not change, and the modules they import."""

import ast
import gc
import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent

_WITHOUT_EFFECT = ("ctx", "kind", "type_comment", "type_ignores")  # fields of the syntax tree


@dataclass(frozen=True)
class Code:
    """The code of one file."""

    digest: str  # SHA-256 of the syntax tree; the same under every version of Python that gives the file this tree
    imports: tuple[str, ...]  # the modules, and the names taken from them, as dotted names; lazy imports too


@cache  # a process runs the code that it has imported, so each file counts as it was when first asked for
def read_code(path: Path) -> Code:
    """The code of the Python file `path`."""
    words: list[str] = []
    imports: list[str] = []
    is_collecting = gc.isenabled()
    gc.disable()  # a syntax tree has no garbage, and searching it for some takes a third of the time
    try:
        _write(ast.parse(path.read_bytes()), words.append, imports)
    finally:
        if is_collecting:
            gc.enable()
    return Code(hashlib.sha256(" ".join(words).encode("utf-8", "surrogatepass")).hexdigest(), tuple(imports))


def _write(node: ast.AST, add: Callable[[str], None], imports: list[str]) -> None:
    """Add the words of a syntax tree, and what it imports. `ast.unparse` takes three times as long.

    Empty fields are left out, because versions of Python differ in them.
    """
    kind = type(node)
    special = _SPECIAL.get(kind)
    values = node.__dict__ if special is None else special(node, imports)
    add(kind.__name__)
    for field in kind._fields:
        value = values.get(field)
        if value is None or value == [] or field in _WITHOUT_EFFECT:
            continue
        add(field)
        for item in value if type(value) is list else (value,):
            if isinstance(item, ast.AST):
                _write(item, add, imports)
            else:
                add(repr(item))
    add(".")


def _import(node: Any, imports: list[str]) -> dict[str, Any]:
    module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
    imports += [f"{module}{alias.name}" for alias in node.names]
    fields: dict[str, Any] = vars(node)
    return fields


def _if(node: Any, imports: list[str]) -> dict[str, Any]:
    """Without the code that is never run."""
    tested = getattr(node.test, "id", None) or getattr(node.test, "attr", None)
    fields: dict[str, Any] = vars(node)
    return {"orelse": node.orelse} if tested == "TYPE_CHECKING" else fields


def _body(node: Any, imports: list[str]) -> dict[str, Any]:
    """Without the docstring."""
    fields: dict[str, Any] = vars(node)
    is_documented = ast.get_docstring(node, clean=False) is not None
    return fields | {"body": node.body[1:] or [ast.Pass()]} if is_documented else fields


def _f_string(node: Any, imports: list[str]) -> dict[str, Any]:
    """Without empty parts, which Python 3.12 adds."""
    return {"values": [part for part in node.values if getattr(part, "value", None) != ""]}


_SPECIAL: dict[type, Callable[[Any, list[str]], dict[str, Any]]] = {
    **dict.fromkeys((ast.Import, ast.ImportFrom), _import),
    ast.If: _if,
    **dict.fromkeys((ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef), _body),
    ast.JoinedStr: _f_string,
}


def reached(start: Iterable[Path], is_left_out: Callable[[str], bool]) -> set[Path]:
    """The files of the package that run when those of `start` do: `start`, and what they import, directly or not.

    A file for whose name `is_left_out` is true is no part of it, and nothing is followed from there.
    """
    found: set[Path] = set()
    waiting = list(start)
    while waiting:
        path = waiting.pop()
        if path not in found and not is_left_out(name_of(path)):
            found.add(path)
            waiting += [file for name in read_code(path).imports for file in files_of(name)]
    return found


def files_of(name: str) -> tuple[Path, ...]:
    """The files of piecewise that importing the dotted `name` runs: a module and the packages around it."""
    return _files_of(name, PACKAGE)


@cache
def _files_of(name: str, package: Path) -> tuple[Path, ...]:
    top, *parts = name.split(".")
    if top != "piecewise":
        return ()
    around = _files_of(name.rpartition(".")[0], package) if parts else ()
    place = "/".join([str(package), *parts])
    found = (path for path in (f"{place}/__init__.py", f"{place}.py") if os.path.isfile(path))  # noqa: PTH113  is faster
    return around + tuple(map(Path, found))


def name_of(path: Path) -> str:
    """The file's name below the package, or for another file its folder and name."""
    return path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else "/".join(path.parts[-2:])


def digest_code(paths: Iterable[Path]) -> str:
    """SHA-256 of the code in these files, with their names; of a file that is not Python all bytes count."""
    lines = []
    for path in paths:
        is_python = path.suffix == ".py"
        digest = read_code(path).digest if is_python else hashlib.sha256(path.read_bytes()).hexdigest()
        lines.append(f"{name_of(path)} {digest}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
