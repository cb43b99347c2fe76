from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

from piecewise.processes import Process, is_gone, this_process


def test_this_process_is_here() -> None:
    process = this_process()
    assert not is_gone(process)
    assert process == this_process()


def test_a_process_that_ended_is_gone() -> None:
    code = "import json; from piecewise.processes import this_process; print(json.dumps(this_process().as_dict()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    parsed = Process.parse(json.loads(done.stdout))
    assert is_gone(parsed)


def test_a_process_that_ended_and_was_not_waited_for_is_gone_too() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert child.stdin is not None
    try:
        running = Process.of(child.pid)
        assert running.started is not None
        assert not is_gone(running)
        child.stdin.close()
        while Process.of(child.pid).started is not None:  # a zombie until it is waited for
            pass
        assert is_gone(running)
    finally:
        child.kill()
        child.wait()


def test_a_number_that_another_process_has_now_is_gone() -> None:
    assert is_gone(replace(this_process(), started=1))


def test_after_a_boot_everything_is_gone_and_of_another_machine_nothing_is_known() -> None:
    assert is_gone(replace(this_process(), boot="another"))
    assert not is_gone(replace(this_process(), host="elsewhere", boot="another"))
