from __future__ import annotations

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from piecewise import stopping


@pytest.fixture(autouse=True)
def listen_for_signals() -> None:
    stopping.listen()


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_immediately_ends_code_that_does_not_poll(number: int, code: int) -> None:
    with pytest.raises(stopping.Stopped) as stopped:
        send(number)
    assert stopped.value.code == code
    assert str(stopped.value) == f"stopped by {signal.Signals(number).name}"


def work(seen: list[int | None], *signals: int, error: BaseException | None = None) -> None:
    """Poll for signals while receiving `signals`, then raise `error`. `seen` receives each poll's answer."""
    with stopping.poll_signals():
        seen.append(stopping.requested_stop())
        for number in signals:
            send(number)
            seen.append(stopping.requested_stop())
        if error is not None:
            raise error


def test_polling_code_learns_of_the_first_signal_and_is_ended_by_the_second() -> None:
    seen: list[int | None] = []
    with pytest.raises(stopping.Stopped) as stopped:
        work(seen, signal.SIGTERM, signal.SIGINT)
    assert stopped.value.code == 130
    assert seen == [None, signal.SIGTERM]
    assert stopping.requested_stop() is None


def test_unanswered_signal_raises_stopped_after_the_work() -> None:
    seen: list[int | None] = []
    with pytest.raises(stopping.Stopped) as stopped:
        work(seen, signal.SIGTERM)
    assert (stopped.value.code, len(seen)) == (143, 2)


def test_an_error_is_not_hidden_by_a_signal() -> None:
    with pytest.raises(ValueError, match="first"):
        work([], signal.SIGTERM, error=ValueError("first"))


def test_stopped_is_not_a_subclass_of_exception() -> None:
    assert not issubclass(stopping.Stopped, Exception)


def test_exit_code_is_that_of_the_signal() -> None:
    code = "import os, signal; from piecewise.stopping import listen; listen(); os.kill(os.getpid(), signal.SIGTERM)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 143


def test_a_signal_ends_the_command_only_after_a_running_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted imports have made torch abort, NumPy recurse endlessly, and the command ignore the signal."""
    lines = [
        "import os, signal",
        "try:",
        "    os.kill(os.getpid(), signal.SIGTERM)",
        "except BaseException:",
        "    pass",
    ]
    (tmp_path / "interrupted.py").write_text("\n".join([*lines, "is_whole = True"]))
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("interrupted")
    assert module.is_whole
    with pytest.raises(stopping.Stopped):
        time.sleep(5)


def test_the_second_signal_does_not_wait_for_an_import(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import os, signal, time\nfor _ in range(2): os.kill(os.getpid(), 2)\ntime.sleep(60)"
    )
    code = "import piecewise.stopping as stopping; stopping.listen(); import slow"
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=30, cwd=tmp_path, capture_output=True)
    assert (done.returncode, done.stderr) == (130, b"error: stopped by SIGINT\n")


def test_signal_that_a_library_swallowed_is_raised_again() -> None:
    stopping.raise_if_stopped()
    with contextlib.suppress(BaseException):
        send(signal.SIGTERM)
    with pytest.raises(stopping.Stopped), stopping.poll_signals():
        pytest.fail("work began after the signal")
    with pytest.raises(stopping.Stopped):
        stopping.raise_if_stopped()
    stopping.listen()
    stopping.raise_if_stopped()


def test_lightnings_exit_code_0_becomes_that_of_the_signal() -> None:
    with pytest.raises(stopping.Stopped) as stopped:
        work([], signal.SIGTERM, error=SystemExit(0))
    assert stopped.value.code == 143


def test_exit_without_a_signal_passes_through() -> None:
    with pytest.raises(SystemExit) as exited:
        work([], error=SystemExit(7))
    assert exited.value.code == 7


def test_the_next_command_of_a_process_is_not_signalled() -> None:
    with pytest.raises(stopping.Stopped), stopping.handle_signals():
        send(signal.SIGTERM)
    assert stopping.is_signalled()
    with stopping.handle_signals():
        assert not stopping.is_signalled()
