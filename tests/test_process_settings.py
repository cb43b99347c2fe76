"""Settings of the whole process are written in one file; those made for one library call are restored after it."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from piecewise import process_settings
from piecewise.process_settings import command_line, environment
from small_project import ROOT

WRITTEN = re.compile(
    r"del os\.environ|os\.environ(\[[^]]+\] =|\.(update|setdefault|pop|clear)\()|os\.(umask|putenv)\("
    r"|sys\.argv =|torch\.(set_num_threads|use_\w+)\(|torch\.(backends|utils)\.\S+ ="
)
# Files besides process_settings.py that write settings of the process, and why.
ALSO = {
    "execution/train.py",  # tells the ranks that Lightning starts what to do
    "tracking/store/credentials.py",  # lends MLflow's client a server's password, and takes it back
    "tracking/store/mlflow_settings.py",  # MLflow reads them at its import
}


def test_settings_of_the_process_are_written_in_one_file() -> None:
    package = ROOT / "src" / "piecewise"
    found = {path.relative_to(package).as_posix() for path in package.rglob("*.py") if WRITTEN.search(path.read_text())}
    assert found == {"process_settings.py", *ALSO}


def test_entry_makes_new_files_private_and_turns_telemetry_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DO_NOT_TRACK", raising=False)
    process_settings.enter()
    assert os.environ["DO_NOT_TRACK"] == "1"
    assert os.umask(0o077) == 0o077


@pytest.mark.parametrize("closed", ["<&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_lead_nowhere_also_in_child_processes(tmp_path: Path, closed: str) -> None:
    code = (
        "import os, subprocess, sys; from piecewise import process_settings; process_settings.enter(); "
        "look = 'import os, sys; [os.fstat(number) for number in range(3)]; sys.stderr.isatty()'; "
        "subprocess.run([sys.executable, '-c', look], check=True); "
        "print('lost', file=sys.stderr); sys.stdout.isatty(); "
        "file = open('records', 'w'); file.write(f'{file.fileno() > 2} {sys.stdin.read()}')"
    )
    line = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} </dev/null {closed}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, check=False, timeout=60)
    assert done.returncode == 0
    assert (tmp_path / "records").read_text() == "True "


def test_argv_is_restored_after_an_error() -> None:
    before = sys.argv
    with contextlib.suppress(ZeroDivisionError), command_line("a b", "c=1"):
        assert sys.argv == ["a b", "c=1"]
        raise ZeroDivisionError
    assert sys.argv is before


def test_environment_is_restored_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIECEWISE_SET", "before")
    monkeypatch.delenv("PIECEWISE_UNSET", raising=False)
    with contextlib.suppress(ZeroDivisionError), environment(PIECEWISE_SET="1", PIECEWISE_UNSET="2"):
        assert (os.environ["PIECEWISE_SET"], os.environ["PIECEWISE_UNSET"]) == ("1", "2")
        raise ZeroDivisionError
    assert os.environ["PIECEWISE_SET"] == "before"
    assert "PIECEWISE_UNSET" not in os.environ


def test_a_training_restores_pytorchs_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    flags = torch.utils.deterministic
    with process_settings.training():
        assert flags.fill_uninitialized_memory is False
        assert ("CUDA_VISIBLE_DEVICES" in os.environ) is not torch.cuda.is_available()
    assert flags.fill_uninitialized_memory is True
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
