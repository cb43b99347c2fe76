"""The database goes away, again and again: `make faults` does it as often as promised."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from running_server import API, Server, wait_for
from trials import Trials

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_postgres_stopped_at_once_under_load_loses_nothing_acknowledged(server: Server, trials: Trials) -> None:
    """A person logs metrics all the while, and says each again until it was taken."""
    experiment = server.create("experiments", name="load")["experiment_id"]
    run = server.create("runs", experiment_id=experiment)["run"]["info"]["run_id"]
    acknowledged: set[int] = set()
    is_over = threading.Event()

    def log() -> None:
        step = 0
        while not is_over.is_set():
            fields = {"run_id": run, "key": "loss", "value": step / 7, "timestamp": step, "step": step}
            try:
                if server.ask("POST", f"{API}/runs/log-metric", fields).status == 200:
                    acknowledged.add(step)
                    step += 1
            except OSError:
                time.sleep(0.05)

    def stop() -> float:
        before, count, begun = server.members(), len(acknowledged), time.monotonic()
        os.kill(before[0], signal.SIGQUIT)
        wait_for(lambda: server.members()[0] != before[0] and len(acknowledged) > count + 3, "back", 60)
        return time.monotonic() - begun

    writer = threading.Thread(target=log)
    writer.start()
    seconds = []
    try:
        for chance in trials("PostgreSQL stopped at once under load, back and nothing acknowledged lost", 20):
            time.sleep(chance.uniform(0.2, 1))
            seconds.append(stop())
    finally:
        is_over.set()
        writer.join()
    wait_for(server.is_up, "up", 60)
    history = steps_of(server, run)
    print(f"{len(seconds)} stops, back within {max(seconds):.1f} s, {len(acknowledged)} points acknowledged")
    assert acknowledged <= history


def steps_of(server: Server, run: str) -> set[int]:
    steps: set[int] = set()
    token = ""
    while True:
        asked = f"{API}/metrics/get-history?run_id={run}&metric_key=loss&max_results=25000&page_token={token}"
        found = server.ask("GET", asked).json
        steps |= {int(metric.get("step", 0)) for metric in found["metrics"]}
        token = found.get("next_page_token", "")
        if not token:
            return steps
