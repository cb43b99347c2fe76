"""Packs that do not train: they note which slot they have, and end as a test says."""

from __future__ import annotations

import copy
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from piecewise.execution.executors import child
from piecewise.execution.executors.contract import FINISHED, Outcome
from piecewise.execution.pack import Pack
from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder
from piecewise.journal.writer import Journal
from piecewise.locks import has_writer
from piecewise.processes import Process

ORPHAN_SECONDS = 1.5


def make_packs(root: Path, job: Job, ways: list[str], seconds: list[float]) -> list[Pack]:
    """A pack for each way to end: "finish", or another one of `end`."""
    packs = []
    for number, (way, time_taken) in enumerate(zip(ways, seconds, strict=True)):
        frozen = copy.deepcopy(job.frozen)
        frozen["seed"] = number
        folder, facts = RunFolder.at(root / f"{number:04d}"), {"way": way, "seconds": time_taken}
        own = replace(job, frozen=frozen)
        packs.append(Pack(root / "packs" / f"{number:04d}.json", number, own, folder, facts, {}))
    return packs


def main(threads: int, gpus: str | None, parent: Mapping[str, Any], pool: Connection) -> None:
    """As `child.main`, in the process of a slot."""
    from piecewise.execution import run_pack

    run_pack.run_pack = run
    child.main(threads, gpus, parent, pool)


def run(pack: Pack) -> dict[str, float]:
    """Note the slot and the time, then end as the pack's facts say."""
    import torch

    began = time.monotonic()
    time.sleep(pack.facts["seconds"])
    seen = {
        "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "threads": [torch.get_num_threads(), int(os.environ["OMP_NUM_THREADS"])],
        "began": began,
        "ended": time.monotonic(),
    }
    pack.folder.result.parent.mkdir(parents=True)
    pack.folder.result.write_text(json.dumps({"val_nll": float(pack.number)}))
    (pack.folder.journal.parent / "seen.json").write_text(json.dumps(seen))
    if pack.facts["way"] == "orphan":
        leave_orphan(pack)
    return end(pack.facts["way"])


def leave_orphan(pack: Pack) -> None:
    """End by SIGKILL, and leave a process that writes the run's journal for ORPHAN_SECONDS, as a rank may do."""
    if os.fork() == 0:
        with Journal(pack.folder.journal):
            time.sleep(ORPHAN_SECONDS)
        os._exit(0)
    while not has_writer(pack.folder.journal):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)


def end(way: str) -> dict[str, float]:
    if way == "raise":
        raise ValueError("injected")
    if way == "sys.exit":
        sys.exit("no more")
    if way == "os._exit":
        os._exit(9)
    if way in ("SIGKILL", "SIGSEGV"):
        os.kill(os.getpid(), signal.Signals[way])
    if way == "memory":
        bytearray(1 << 60)
    if way == "hang":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        time.sleep(1e6)
    assert way == "finish", way
    return {"test/nll": 0.5}


class Heard:
    """A listener that keeps what it hears, and asserts that a pack is started once and ended once."""

    def __init__(self) -> None:
        self.pids: dict[int, int] = {}
        self.outcomes: dict[int, Outcome] = {}
        self.most = 0  # packs that were running at the same time

    def started(self, pack: Pack, process: Process) -> None:
        assert pack.number not in self.pids
        self.pids[pack.number] = process.pid
        self.most = max(self.most, len(self.pids) - len(self.outcomes))

    def ended(self, pack: Pack, outcome: Outcome) -> None:
        assert pack.number in self.pids
        assert pack.number not in self.outcomes
        self.outcomes[pack.number] = outcome
        if outcome.state != FINISHED:  # then the slot has another process
            assert not Path(f"/proc/{self.pids[pack.number]}").exists() or self.pids[pack.number] == os.getpid()
