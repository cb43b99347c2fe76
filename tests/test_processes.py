from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

from piecewise.processes import Process, is_gone, this_process


def test_this_process_is_not_gone() -> None:
    process = this_process()
    assert not is_gone(process)
    assert process == this_process()


def test_ended_process_is_gone() -> None:
    code = "import json; from piecewise.processes import this_process; print(json.dumps(this_process().as_dict()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    parsed = Process.parse(json.loads(done.stdout))
    assert is_gone(parsed)


def test_zombie_is_gone() -> None:
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


def test_process_whose_id_was_reused_is_gone() -> None:
    assert is_gone(replace(this_process(), started=1))


def test_process_of_an_earlier_boot_is_gone_and_of_another_host_is_unknown() -> None:
    assert is_gone(replace(this_process(), boot="another"))
    assert not is_gone(replace(this_process(), host="elsewhere", boot="another"))
