"""Services are restarted when they end, and stop when asked; tested with small programs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
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
def reported() -> list[list[int]]:
    """The processes that the supervisor has reported, one list for each change."""
    return []


@pytest.fixture
def services(reported: list[list[int]]) -> Iterator[Supervisor]:
    services = Supervisor(reported.append)
    yield services
    services.stop()


def is_running(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_service_is_restarted_after_the_rest_of_its_group_is_killed(
    services: Supervisor, reported: list[list[int]], make: Make, tmp_path: Path
) -> None:
    services.add(make("/bin/sh", "-c", "sleep 100 & echo $! >> children; wait"))
    (first,) = services.pids()
    children = tmp_path / "children"
    wait_for(lambda: children.is_file() and children.read_text(), "the child")
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: (services.update(), services.pids() not in ([], [first]))[1], "the service is restarted", 10)
    child = int(children.read_text().split()[0])
    wait_for(lambda: not is_running(child), "the child is gone", 10)
    assert reported == [[first], services.pids()]


@pytest.mark.slow
def test_a_service_that_fails_early_is_restarted_after_growing_delays_and_then_given_up(
    services: Supervisor, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_DELAY", 0.02)
    failing = replace(make("/bin/sh", "-c", "date +%s.%N >> times; exit 3"), is_ready=lambda: False)
    with pytest.raises(PiecewiseError, match=r"a service is not ready; its log is .+/log"):
        services.add(failing)
    times = [float(line) for line in (tmp_path / "times").read_text().split()]
    assert len(times) == supervisor.MAX_ATTEMPTS
    assert times[-1] - times[-2] > 2 * (times[1] - times[0]) > 0


def test_the_delay_has_a_limit_and_is_reset_once_the_service_is_stable(make: Make) -> None:
    service = supervisor.SupervisedService(make("/bin/sleep", "100"))
    service.failures = 50
    assert service.delay == supervisor.LONGEST_DELAY
    service.failures = 1
    assert service.delay == supervisor.FIRST_DELAY
    assert service.update()
    service.changed_at = time.monotonic() - supervisor.STABLE_SECONDS - 1
    assert not service.update()
    assert service.failures == 0
    service.kill()


def test_services_stop_in_reverse_order_each_by_its_own_signal(
    services: Supervisor, make: Make, tmp_path: Path
) -> None:
    script = "trap 'echo $0 >> ended; exit 0' {}; touch $0; while :; do sleep 0.05; done"
    services.add(make("/bin/sh", "-c", script.format("INT"), "first", stop_signal=signal.SIGINT))
    services.add(make("/bin/sh", "-c", script.format("TERM"), "second"))
    pids = services.pids()
    wait_for(lambda: (tmp_path / "first").exists() and (tmp_path / "second").exists(), "both traps")
    services.stop()
    assert (tmp_path / "ended").read_text().split() == ["second", "first"]
    assert not any(map(is_running, pids))


def test_a_service_that_ignores_its_signal_is_killed(
    services: Supervisor, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "STOP_TIMEOUT", 0.3)
    services.add(make("/bin/sh", "-c", "trap '' TERM; touch ready; while :; do sleep 0.05; done"))
    (pid,) = services.pids()
    wait_for((tmp_path / "ready").exists, "the trap")
    services.stop()
    assert not is_running(pid)


def test_a_service_inherits_no_environment_and_its_log_is_private(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "hush")
    os.umask(0o077)
    service = make("/usr/bin/env", environment={"GIVEN": "yes"})
    assert start(service).wait(10) == 0
    lines = service.log.read_text().splitlines()
    assert "GIVEN=yes" in lines
    assert {line.partition("=")[0] for line in lines} <= {"PATH", "HOME", "LANG", "GIVEN", "PWD", "LC_CTYPE"}
    assert service.log.stat().st_mode & 0o077 == 0


def test_a_service_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom piecewise.server.service import Service, start\n"
        "folder = Path(sys.argv[1])\n"
        "print(start(Service('x', ['/bin/sleep', '100'], folder, folder / 'log', lambda: True)).pid, flush=True)\n"
        "time.sleep(100)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    service = int(parent.stdout.readline())
    assert is_running(service)
    parent.kill()
    parent.communicate()
    wait_for(lambda: not is_running(service), "the service is gone", 10)


def test_a_missing_program_is_an_error(services: Supervisor, make: Make) -> None:
    with pytest.raises(FileNotFoundError, match="no such program"):
        services.add(make("/no such program"))
