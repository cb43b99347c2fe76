"""Text is UTF-8 whatever the locale: in files, in what other programs print, and in the names in /proc."""

from __future__ import annotations

import ast
import ctypes
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from piecewise.processes import Process, members, this_process
from small_project import ROOT

ASCII = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}  # with these, Python reads text as ASCII
SET_NAME = 15  # PR_SET_NAME of prctl(2)


def faults(source: str) -> Iterator[str]:
    """Calls that read or write text and leave its encoding to the locale."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            words = {word.arg: ast.unparse(word.value) for word in node.keywords}
            modes = [words.get("mode", ""), *(ast.unparse(value) for value in node.args)]
            is_text = {
                "read_text": not node.args,
                "write_text": len(node.args) < 2,
                "open": ast.unparse(node.func) in ("open", "io.open") or ast.unparse(node.func).startswith("path."),
                "run": words.get("text") == "True",
                "Popen": words.get("text") == "True",
            }.get(name, False)
            is_bytes = name == "open" and any(mode.strip("'").endswith("b") for mode in modes)
            if is_text and not is_bytes and "encoding" not in words:
                yield f"{node.lineno}: {ast.unparse(node)}"


def test_every_file_is_read_and_written_in_a_stated_encoding() -> None:
    paths = [*(ROOT / "src").rglob("*.py"), *(ROOT / "pipelines").rglob("*.py")]
    assert [f"{path.name}:{fault}" for path in paths for fault in faults(path.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("line", "is_fault"),
    [
        ("path.read_text()", True),
        ("path.read_text(errors='replace')", True),
        ("path.read_text('utf-8')", False),
        ("path.write_text(content)", True),
        ("path.write_text(content, encoding='utf-8')", False),
        ("path.open()", True),
        ("path.open('a')", True),
        ("path.open('rb')", False),
        ("open(path, mode='wb')", False),
        ("open(path)", True),
        ("os.open(path, os.O_RDONLY)", False),
        ("subprocess.run(command, text=True)", True),
        ("subprocess.run(command, text=True, encoding='utf-8')", False),
        ("subprocess.run(command)", False),
    ],
)
def test_the_rule_knows_text_from_bytes(line: str, is_fault: bool) -> None:
    assert bool(list(faults(line))) is is_fault


def test_files_are_read_and_names_printed_where_the_locale_is_ascii(tmp_path: Path) -> None:
    path = tmp_path / "grüße.json"
    path.write_text('{"title": "≤ π"}', "utf-8")
    code = (
        "import sys; from pathlib import Path; from piecewise import process_settings, terminal\n"
        "from piecewise.durable import read_json\n"
        "process_settings.enter()\n"
        "assert read_json(Path(sys.argv[1])) == {'title': '\\u2264 \\u03c0'}\n"
        "terminal.show('a \\u2264 b'); terminal.warn('caf\\u00e9')"
    )
    environment = {**os.environ, **ASCII}
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], env=environment, capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"a ? b\n", b"warning: caf?\n")


def test_a_process_whose_name_ends_inside_a_character_is_listed() -> None:
    """The kernel cuts names at fifteen bytes."""
    found: list[tuple[bytes, Process, dict[int, str | int]]] = []

    def look() -> None:
        libc, number = ctypes.CDLL(None), threading.get_native_id()
        assert libc.prctl(SET_NAME, "a) (b fourteenß".encode(), 0, 0, 0) == 0
        name = Path(f"/proc/{number}/comm").read_bytes().rstrip(b"\n")
        found.append((name, Process.of(number), members(os.getpgrp())))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    ((name, process, group),) = found
    with pytest.raises(UnicodeDecodeError):
        name.decode()
    assert process.started is not None
    assert process.boot == this_process().boot
    assert os.getpid() in group
