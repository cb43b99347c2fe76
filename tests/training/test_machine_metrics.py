from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from piecewise.durable import read_records
from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project
from piecewise.training import recorder
from small_project import TINY


@pytest.mark.parametrize(("seconds", "steps"), [(10.0, [8]), (0.0, [1, 2, 3, 4, 5, 6, 7, 8, 8])])
def test_the_machine_is_read_at_intervals_and_at_the_end(
    plan: Callable[..., list[Job]],
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    steps: list[int],
) -> None:
    monkeypatch.setattr(recorder, "MACHINE_SECONDS", seconds)
    folder = RunFolder.at(project / "runs" / "one")
    train(plan(*TINY, "trainer.accelerator=cpu")[0], folder)
    read = [record for record in read_records(folder.journal) if record["kind"] == "system"]
    assert [record["step"] for record in read] == steps
    for record in read:
        assert record["values"].keys() == {"system/cpu_utilization_percentage", "system/memory_megabytes"}
        assert 50 < record["values"]["system/memory_megabytes"] < 20_000
        assert 0 <= record["values"]["system/cpu_utilization_percentage"] < 100_000
    journal = read_journal(folder.journal)
    assert journal is not None
    assert not any(key.startswith("system/") for key in journal.history())  # system metrics are not results


def test_gpu_utilisation_is_read_if_the_driver_reports_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(device: torch.device) -> int:
        raise RuntimeError("Not Supported")

    for name, value in (("memory_allocated", 3_000_000), ("max_memory_allocated", 5_000_000), ("utilization", 40)):
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    device = torch.device("cuda:0")
    found = recorder.read_gpu(device)
    assert found == {
        "system/gpu_memory_megabytes": 3.0,
        "system/gpu_memory_peak_megabytes": 5.0,
        "system/gpu_utilization_percentage": 40.0,
    }
    monkeypatch.setattr(torch.cuda, "utilization", unsupported)
    del found["system/gpu_utilization_percentage"]
    assert recorder.read_gpu(device) == found
