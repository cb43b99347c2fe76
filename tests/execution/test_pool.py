"""The pool gives each job slots of its own, and whatever happens to a job costs this job only."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from multiprocessing import Pipe, forkserver
from pathlib import Path
from random import Random
from typing import Any

import pytest

import slot_jobs
from piecewise.errors import TryAgain
from piecewise.execution.executors import child, pool, running
from piecewise.execution.executors.contract import FAILED, FINISHED, KILLED, Outcome
from piecewise.execution.executors.inline import Inline
from piecewise.execution.executors.pool import Auto, Pool
from piecewise.execution.executors.server import start_server
from piecewise.execution.executors.slots import Slot, make_slots
from piecewise.execution.pack import Pack
from piecewise.jobs.job import Job
from slot_jobs import Heard, make_packs

# How a job ends, its state, what is told of it, and the exit code that it alone would have.
ENDS = {
    "finish": (FINISHED, "", 0),
    "raise": (FAILED, "ValueError: injected (a bug in piecewise: PIECEWISE_DEBUG=1 shows where)", 1),
    "sys.exit": (FAILED, "it called sys.exit('no more')", 1),
    "os._exit": (FAILED, "its process exited with code 9 before the job had ended", 1),
    "SIGKILL": (KILLED, "its process was ended by SIGKILL; perhaps memory was short", 75),
    "SIGSEGV": (FAILED, "its process was ended by SIGSEGV", 75),
    "memory": (FAILED, "MemoryError", 1),
}


@pytest.fixture(autouse=True)
def _do_not_train(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "main", slot_jobs.main)


class FakeGpus(Pool):
    """A pool on two GPUs that this machine need not have."""

    def slots_for(self, pack: Pack) -> list[Slot]:
        return make_slots(self.count, ["0", "1"], self.gpu_fraction, cores=6)


def run(pool: Pool, packs: list[Pack]) -> Heard:
    heard = Heard()
    pool.run(packs, heard)
    assert heard.outcomes.keys() == {pack.number for pack in packs}
    assert not any(pack.path.exists() for pack in packs)
    return heard


def seen_by(pack: Pack) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((pack.folder.journal.parent / "seen.json").read_text())
    return content


def alive_at_once(seen: list[dict[str, Any]]) -> int:
    """The most jobs that ran at the same time."""
    return max(sum(other["began"] <= one["began"] < other["ended"] for other in seen) for one in seen)


@pytest.mark.parametrize(("count", "fraction", "num_slots"), [(20, 1.0, 2), (8, 0.5, 4)])
def test_jobs_on_two_gpus(tmp_path: Path, composed_tiny_job: Job, count: int, fraction: float, num_slots: int) -> None:
    """Each job sees one GPU and its slot's threads, and no slot has two jobs at a time."""
    rng = Random(0)
    packs = make_packs(tmp_path, composed_tiny_job, ["finish"] * count, [rng.random() * 0.1 for _ in range(count)])
    heard = run(FakeGpus(gpu_fraction=fraction), packs)
    seen = [seen_by(pack) for pack in packs]
    assert heard.most == num_slots
    assert alive_at_once(seen) <= num_slots
    for gpu in ("0", "1"):
        on_gpu = [one for one in seen if one["gpus"] == gpu]
        assert alive_at_once(on_gpu) <= num_slots // 2
        assert len(on_gpu) >= count // 4
    assert {one["gpus"] for one in seen} == {"0", "1"}
    assert {tuple(one["threads"]) for one in seen} == {(6 // num_slots, 6 // num_slots)}
    assert len(set(heard.pids.values())) == count  # a process that has used a GPU keeps memory there
    assert [heard.outcomes[number].val_nll for number in range(count)] == list(range(count))


def test_on_cpus_a_slot_keeps_its_process(
    tmp_path: Path, composed_tiny_job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has another one after MAX_PACKS, and after a job that did not finish."""
    monkeypatch.setattr(running, "MAX_PACKS", 3)
    ways = ["finish"] * 4 + ["raise"] + ["finish"] * 2
    pids = [*run(Pool(slots=1), make_packs(tmp_path, composed_tiny_job, ways, [0.0] * 7)).pids.values()]
    assert [pids.index(pid) for pid in pids] == [0, 0, 0, 3, 3, 5, 5]
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_job_of_two_ranks_has_both_gpus(tmp_path: Path, composed_tiny_job: Job) -> None:
    packs = make_packs(tmp_path, composed_tiny_job, ["finish"] * 4, [0.0] * 4)
    packs[3].job.frozen["trainer"] |= {"devices": 2, "strategy": "ddp"}
    run(FakeGpus(), packs)
    seen = [seen_by(pack) for pack in packs]
    assert seen[-1]["gpus"] == "0,1"
    assert seen[-1]["threads"] == [3, 3]  # of each rank
    assert alive_at_once(seen) <= 2
    assert sum(other["began"] < seen[-1]["ended"] and other["ended"] > seen[-1]["began"] for other in seen) == 1


def test_whatever_happens_to_a_job_costs_this_job_only(tmp_path: Path, composed_tiny_job: Job) -> None:
    ways = [way for end in ENDS for way in (end, "finish")]
    heard = run(Pool(slots=2), make_packs(tmp_path, composed_tiny_job, ways, [0.0] * len(ways)))
    for number, way in enumerate(ways):
        outcome, (state, message, exit_code) = heard.outcomes[number], ENDS[way]
        assert (outcome.state, outcome.message.rstrip(": "), outcome.exit_code) == (state, message, exit_code)
        assert outcome.metrics == ({"test/nll": 0.5} if way == "finish" else {})


def test_a_process_that_a_job_leaves_holds_up_this_job_only(tmp_path: Path, composed_tiny_job: Job) -> None:
    """The pool waits for it without using the processor, and the other jobs go on."""
    packs = make_packs(tmp_path, composed_tiny_job, ["orphan", "finish", "finish"], [0.0] * 3)
    began, used = time.monotonic(), time.process_time()
    heard = run(Pool(slots=2), packs)
    assert time.process_time() - used < 0.5 * slot_jobs.ORPHAN_SECONDS
    assert [*heard.outcomes] == [1, 2, 0]
    assert heard.outcomes[0].state == KILLED
    assert time.monotonic() - began >= slot_jobs.ORPHAN_SECONDS


def test_a_fork_server_killed_while_it_starts_a_process_is_replaced(tmp_path: Path, composed_tiny_job: Job) -> None:
    packs = make_packs(tmp_path, composed_tiny_job, ["finish"] * 3, [0.0] * 3)
    run(Pool(slots=1), packs[:1])
    server = forkserver._forkserver._forkserver_pid
    os.kill(server, signal.SIGSTOP)  # it takes the next request, and never answers
    threading.Timer(0.3, os.kill, (server, signal.SIGKILL)).start()
    heard = run(Pool(slots=1), packs[1:])
    assert {outcome.state for outcome in heard.outcomes.values()} == {FINISHED}
    assert forkserver._forkserver._forkserver_pid != server


@pytest.mark.slow
def test_a_fork_server_that_has_just_started_ignores_ctrl_c(tmp_path: Path, composed_tiny_job: Job) -> None:
    forkserver._forkserver._stop()
    start_server()
    server = forkserver._forkserver._forkserver_pid
    os.kill(server, signal.SIGINT)
    heard = run(Pool(slots=1), make_packs(tmp_path, composed_tiny_job, ["finish"], [0.0]))
    assert {outcome.state for outcome in heard.outcomes.values()} == {FINISHED}
    assert forkserver._forkserver._forkserver_pid == server
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_fork_server_that_starts_nothing_is_a_temporary_failure(
    tmp_path: Path, composed_tiny_job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(forkserver, "connect_to_new_process", lambda files: os.open("/no such folder", 0))
    with pytest.raises(TryAgain, match=r"executor=pool: its server of processes starts none: FileNotFoundError"):
        Pool(slots=1).run(make_packs(tmp_path, composed_tiny_job, ["finish"], [0.0]), Heard())


def test_no_signal_is_sent_to_the_number_of_a_process_that_has_ended(
    tmp_path: Path, composed_tiny_job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may have got its number."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(running.os, "kill", lambda *call: sent.append(call))
    run(Pool(slots=2), make_packs(tmp_path, composed_tiny_job, ["finish", "raise"], [0.0] * 2))
    assert sent == []


def test_a_job_that_hangs_is_ended(tmp_path: Path, composed_tiny_job: Job) -> None:
    packs = make_packs(tmp_path, composed_tiny_job, ["hang", "finish"], [0.0, 0.0])
    heard = run(Pool(slots=1, timeout=1.5), packs)
    reason = "it recorded nothing for 1.5 s and was ended; if it was not hanging, executor.timeout=60 waits longer"
    assert heard.outcomes[0] == Outcome(FAILED, message=reason, exit_code=75)
    assert heard.outcomes[1].state == FINISHED


def test_a_job_that_is_stopped_before_it_begins_counts_as_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    own, _ = Pipe()
    monkeypatch.setattr(own, "recv_bytes", lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert child._run_next(own) == Outcome(KILLED, message="stopped by SIGTERM", exit_code=143)


def test_auto_runs_one_job_in_this_process(tmp_path: Path) -> None:
    auto = Auto(slots=2)
    assert isinstance(auto.for_count(1), Inline)
    assert auto.for_count(2) is auto


def test_inline_passes_over_a_job_that_fails(
    tmp_path: Path, composed_tiny_job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    from piecewise.execution import run_pack

    monkeypatch.setattr(run_pack, "run_pack", slot_jobs.run)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    ways, heard = ["raise", "finish", "sys.exit", "memory", "finish"], Heard()
    Inline().run(make_packs(tmp_path, composed_tiny_job, ways, [0.0] * 5), heard)
    found = [(outcome.state, outcome.message.rstrip(": "), outcome.exit_code) for outcome in heard.outcomes.values()]
    assert found == [ENDS[way] for way in ways]
