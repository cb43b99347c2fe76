"""The digest of code, and the imports found in it, against Python's own parser and import system."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from piecewise import source
from piecewise.source import Code, digest_code, files_of, name_of, reached, read_code

ROOT = Path(__file__).parents[1]
CODE = '''"""Doc."""


if TYPE_CHECKING:
    from piecewise import cli


class A:
    """Doc."""


def f(x, y=(1, 2)):
    """Doc."""
    return x + 1, f"{x!r:>{y[0]}} {y}", 'a "word"'
'''
# All kinds of syntax whose trees have differed between versions of Python.
SYNTAX = '''"""Doc."""

from __future__ import annotations

import os.path as p


@p.join("a", *["b"], **{})
async def f(a: int, /, b=1, *c, d: str = "x", **e) -> None:
    async with a as b, c:
        return lambda x, *y: (yield x) if (z := y) else [i async for i in b if i]
    f"{a}{b!r:>{c}}{d=}" f"{e:%Y}" "é\\udc80"
    return rb"x", u"u", 1_000 if a else 0x10 + 1.5e3 + 2j


class A(dict, metaclass=type):
    x: int
    try:
        del x[1:2, ..., None], y.a
    except* ValueError as error:
        raise KeyError from error
    match x:
        case {"a": [1, *rest], **others} | A(b=2) as z if z:
            pass
        case _:
            global g
'''


def code_of(folder: Path, text: str) -> Code:
    """The code of `text`, in a file of its own: a process reads each file once."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{len(list(folder.iterdir()))}.py"
    path.write_text(text)
    return read_code(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x + 1", "(x\n            + 1)"),
        ("x + 1,", "(x + 1\n        # a comment\n    ),"),
        ('"""Doc."""', '"""Another."""'),
        ('    """Doc."""\n    return', "    return"),
        ('    """Doc."""\n\n\ndef', "    pass\n\n\ndef"),
        ("y=(1, 2)", "y=(1, 2,)"),
        ("'a \"word\"'", '"a \\"word\\""'),
        ('"""Doc."""\n\n\nif', "# a comment\n\nif"),
        ("    from piecewise import cli", "    from piecewise.cli import main"),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(tmp_path: Path, old: str, new: str) -> None:
    assert old in CODE
    assert code_of(tmp_path, CODE.replace(old, new)) == code_of(tmp_path, CODE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("+ 1", "+ 2"),
        ("+ 1", "- 1"),
        ("+ 1", "+ 1.0"),
        ("x + 1", 'x + "1"'),
        ("!r", "!s"),
        ("class A", "class B"),
        ("(1, 2)", "[1, 2]"),
        ("(1, 2)", "((1, 2),)"),
        ("    return", "    '''Text.'''\n    return"),
        ("return ", ""),
        ("def f", "async def f"),
    ],
)
def test_a_change_of_code_counts(tmp_path: Path, old: str, new: str) -> None:
    assert old in CODE
    assert code_of(tmp_path, CODE.replace(old, new)).digest != code_of(tmp_path, CODE).digest


def test_the_digest_is_the_same_under_other_versions_of_python(tmp_path: Path) -> None:
    """The digest is from Python 3.12.1 and 3.13.0; 3.11 gives this code another `ast.dump`."""
    assert code_of(tmp_path, SYNTAX).digest == ("d79b0aef898df7a5189ec9af8cfce13a4cf6c9136cac16abdf9420c5ff6aa112")


def test_files_have_the_same_digest_if_their_trees_are_equal_and_only_then() -> None:
    paths = sorted([*source.PACKAGE.glob("losses/*.py"), *source.PACKAGE.glob("*/__init__.py")])
    trees = {ast.dump(ast.parse(path.read_text("utf-8"))) for path in paths}
    assert 10 < len(trees) < len(paths)
    assert len({read_code(path).digest for path in paths}) == len(trees)


def test_every_import_is_found_but_those_for_type_checkers(tmp_path: Path) -> None:
    code = """
import torch, piecewise.models.mlp as mlp
from piecewise import terminal
if TYPE_CHECKING:
    import piecewise.a
elif x:
    import piecewise.b
if typing.TYPE_CHECKING:
    from piecewise.a import c
else:
    def f():
        try:
            from piecewise.data.idx import Idx, Mnist as M
        finally:
            pass
"""
    names = ["torch", "piecewise.models.mlp", "piecewise.terminal", "piecewise.b", "piecewise.data.idx.Idx"]
    assert code_of(tmp_path, code).imports == (*names, "piecewise.data.idx.Mnist")


def test_reached_files_are_those_that_python_imports() -> None:
    """In a module without lazy imports: Python runs those only when they are needed."""
    code = "import piecewise.commands.list, sys; print(*(name for name in sys.modules if name.startswith('piecewise')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = {path for name in done.stdout.split() for path in files_of(name)}
    assert len(imported) > 5
    assert reached(files_of("piecewise.commands.list"), lambda name: False) == imported


def test_left_out_files_are_not_followed() -> None:
    start = files_of("piecewise.losses.bernoulli")
    all_files = {name_of(path) for path in reached(start, lambda name: False)}
    without = {name_of(path) for path in reached(start, "losses/likelihood.py".__eq__)}
    assert {"losses/likelihood.py", "data/spec.py", "losses/__init__.py", "__init__.py"} <= all_files
    assert "losses/likelihood.py" not in without
    assert files_of("torch.nn") == ()
    assert files_of("piecewise.nothing.at_all") == files_of("piecewise")


def test_a_digest_depends_on_names_and_contents_and_not_on_the_order(tmp_path: Path) -> None:
    for name, text in (("a.py", "1"), ("b.py", "2"), ("c.html", "<p>"), ("d.html", "<p >")):
        (tmp_path / name).write_text(text)
    a, b, c, d = sorted(tmp_path.iterdir())
    assert digest_code([a, b, c]) == digest_code([c, b, a])
    assert len({digest_code(files) for files in ([a, b, c], [a, b, d], [a, b], [a, c], [])}) == 5
    (tmp_path / "e.py").write_text("1")
    assert digest_code([tmp_path / "e.py"]) != digest_code([a])
