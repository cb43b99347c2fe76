from __future__ import annotations

import io

import pytest

from piecewise import terminal


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_is_only_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert terminal.paint("x", "red", Screen()) == "\x1b[31mx\x1b[0m"
    assert terminal.paint("x", "red", io.StringIO()) == "x"


@pytest.mark.parametrize(("key", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colour_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, key: str, value: str) -> None:
    monkeypatch.setenv(key, value)
    assert terminal.paint("x", "red", Screen()) == "x"


def test_quiet_prints_only_warnings_and_errors(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.say("one", 2)
    monkeypatch.setenv(terminal.QUIET, "1")
    terminal.say("nothing")
    terminal.warn("careful")
    terminal.fail("broken")
    output = capsys.readouterr()
    assert (output.out, output.err) == ("one 2\n", "warning: careful\nerror: broken\n")


def test_table_columns_are_aligned_and_never_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    text = "long text " * 30
    assert terminal.table([("a", "bb", text), ("ccc", "d", "")], indent=" ") == f" a    bb  {text.rstrip()}\n ccc  d"
    assert terminal.table([]) == ""


def test_colour_codes_do_not_count_as_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    painted = terminal.paint("ok", "green", Screen())
    assert terminal.table([(painted, "x"), ("fault", "y")]) == f"{painted}     x\nfault  y"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (3599, "1 h 0 min"), (7500, "2 h 5 min")]
)
def test_duration(seconds: float, text: str) -> None:
    assert terminal.duration(seconds) == text


@pytest.mark.parametrize(
    ("num_bytes", "text"), [(0, "0 B"), (999, "999 B"), (3_140, "3.1 kB"), (2e6, "2.0 MB"), (5e12, "5000.0 GB")]
)
def test_size(num_bytes: float, text: str) -> None:
    assert terminal.size(num_bytes) == text
