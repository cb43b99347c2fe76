"""The run keys of a sweep are known before it starts, and cost little."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from piecewise.errors import BadInput
from piecewise.jobs import run_key
from piecewise.jobs.build import build_data
from piecewise.jobs.job import Job
from piecewise.jobs.run_key import identify, run_keys

Plan = Callable[..., list[Job]]


def test_the_keys_of_a_sweep_are_those_that_its_journals_get(plan: Plan) -> None:
    jobs = plan("-m", "data.num_train=100,120", "seed=0,1")
    keys = run_keys(jobs)
    assert keys == [identify(job, build_data(job.config.data))["run_key"] for job in jobs]
    assert len(set(keys)) == 4


def test_the_lock_and_shared_data_are_read_once(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    for name in ("lock_digest", "build_data"):
        whole = getattr(run_key, name)
        monkeypatch.setattr(run_key, name, lambda *given, whole=whole, name=name: read.append(name) or whole(*given))
    run_keys(plan("-m", "data.num_train=100,120", "seed=0,1,2"))
    assert sorted(read) == ["build_data", "build_data", "lock_digest"]


def test_data_that_are_not_there_are_named(plan: Plan) -> None:
    with pytest.raises(BadInput, match=r"train-images-idx3-ubyte does not exist"):
        run_keys(plan("-m", "experiment=mnist_mlp", "seed=0,1"))
