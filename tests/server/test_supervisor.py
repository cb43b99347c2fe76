"""Services are started again when they end, and end when they shall: with programs that are quickly started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from piecewise.errors import PiecewiseError
from piecewise.server import supervisor
from piecewise.server.service import Service, start
from piecewise.server.supervisor import Supervisor
from running_server import wait_for

Make = Callable[..., Service]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make(*words: str, **options: object) -> Service:
        return Service("a service", [*words], tmp_path, tmp_path / "log", lambda: True, **options)  # type: ignore[arg-type]

    return make


@pytest.fixture
def keeper() -> Iterator[Supervisor]:
    told: list[list[int]] = []
    keeper = Supervisor(told.append)
    keeper.told = told  # type: ignore[attr-defined]
    yield keeper
    keeper.stop()


def is_running(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_one_that_is_killed_is_back_with_the_rest_of_its_group_gone(
    keeper: Supervisor, make: Make, tmp_path: Path
) -> None:
    keeper.add(make("/bin/sh", "-c", "sleep 100 & echo $! >> children; wait"))
    (first,) = keeper.members()
    children = tmp_path / "children"
    wait_for(lambda: children.is_file() and children.read_text(), "the child")
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: (keeper.tend(), keeper.members() not in ([], [first]))[1], "another process", 10)
    child = int(children.read_text().split()[0])
    wait_for(lambda: not is_running(child), "no child", 10)
    assert keeper.told == [[first], keeper.members()]  # type: ignore[attr-defined]


@pytest.mark.slow
def test_one_that_does_not_last_is_started_later_and_later_and_given_up(
    keeper: Supervisor, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FIRST", 0.02)
    service = make("/bin/sh", "-c", "date +%s.%N >> times; exit 3")
    never = Service(service.name, service.command, service.folder, service.log, lambda: False)
    with pytest.raises(PiecewiseError, match=r"a service is not ready; what it said is in .+/log"):
        keeper.add(never)
    times = [float(line) for line in (tmp_path / "times").read_text().split()]
    assert len(times) == supervisor.ATTEMPTS
    assert times[-1] - times[-2] > 2 * (times[1] - times[0]) > 0


def test_the_wait_has_an_end_and_is_forgotten(make: Make) -> None:
    kept = supervisor.Kept(make("/bin/sleep", "100"))
    kept.failures = 50
    assert kept.delay == supervisor.LONGEST
    kept.failures = 1
    assert kept.delay == supervisor.FIRST
    assert kept.tend()
    assert kept.process is not None
    kept.changed = time.monotonic() - supervisor.STEADY - 1
    assert not kept.tend()
    assert kept.failures == 0
    kept.process.kill()
    kept.process.wait()


def test_they_end_in_reverse_with_the_signal_each_wants(keeper: Supervisor, make: Make, tmp_path: Path) -> None:
    script = "trap 'echo $0 >> ended; exit 0' {}; touch $0; while :; do sleep 0.05; done"
    keeper.add(make("/bin/sh", "-c", script.format("INT"), "first", stop_signal=signal.SIGINT))
    keeper.add(make("/bin/sh", "-c", script.format("TERM"), "second"))
    members = keeper.members()
    wait_for(lambda: (tmp_path / "first").exists() and (tmp_path / "second").exists(), "both traps")
    keeper.stop()
    assert (tmp_path / "ended").read_text().split() == ["second", "first"]
    assert not any(map(is_running, members))


def test_one_that_will_not_end_is_killed(keeper: Supervisor, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "GRACE", 0.3)
    keeper.add(make("/bin/sh", "-c", "trap '' TERM; touch ready; while :; do sleep 0.05; done"))
    (member,) = keeper.members()
    wait_for((keeper.kept[0].service.folder / "ready").exists, "the trap")
    keeper.stop()
    assert not is_running(member)


def test_a_service_sees_none_of_our_environment_and_a_private_log(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "hush")
    os.umask(0o077)
    service = make("/usr/bin/env", environment={"GIVEN": "yes"})
    assert start(service).wait(10) == 0
    lines = service.log.read_text().splitlines()
    assert "GIVEN=yes" in lines
    assert {line.partition("=")[0] for line in lines} <= {"PATH", "HOME", "LANG", "GIVEN", "PWD", "LC_CTYPE"}
    assert service.log.stat().st_mode & 0o077 == 0


def test_a_service_ends_with_whoever_started_it_however_that_ended(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom piecewise.server.service import Service, start\n"
        "place = Path(sys.argv[1])\n"
        "print(start(Service('x', ['/bin/sleep', '100'], place, place / 'log', lambda: True)).pid, flush=True)\n"
        "time.sleep(100)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    service = int(starter.stdout.readline())
    assert is_running(service)
    starter.kill()
    starter.communicate()
    wait_for(lambda: not is_running(service), "the service is gone", 10)


def test_a_program_that_is_missing_is_an_error(keeper: Supervisor, make: Make) -> None:
    with pytest.raises(FileNotFoundError, match="no such program"):
        keeper.add(make("/no such program"))
