"""LBFGS computes the loss of a batch several times for each step."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from piecewise.errors import BadInput
from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project
from small_project import TINY

Plan = Callable[..., list[Job]]
REPEATING = [*TINY, "~optimizer", "+optimizer._target_=torch.optim.LBFGS"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["trainer.accumulate_grad_batches=2"],
            r"^trainer\.accumulate_grad_batches=2: LBFGS computes the loss of a batch several times for each step; "
            r"allowed: 1 \(a larger batch_size has the same effect\), or another optimizer$",
        ),
        (["trainer=ddp_cpu"], r"^trainer\.devices=2: LBFGS computes .* allowed: 1, or another optimizer$"),
        (["+trainer.num_nodes=2"], r"^trainer\.num_nodes=2: LBFGS computes"),
        (["trainer.devices=auto"], r"^trainer\.devices='auto': LBFGS computes"),
    ],
)
def test_it_needs_all_examples_of_a_step_in_one_batch(plan: Plan, options: list[str], message: str) -> None:
    for allowed in ([], ["trainer.strategy=ddp"], ["~trainer.accumulate_grad_batches"]):
        assert plan(*REPEATING, *allowed)
    with pytest.raises(BadInput, match=message):
        plan(*REPEATING, *options)


def test_a_reading_counts_each_example_once(plan: Plan, project: Project) -> None:
    """The first reading is the loss of the first weights, which is the same for every optimizer."""
    first = []
    for name, options in (("repeating", REPEATING), ("once", [*TINY, "optimizer=sgd"])):
        folder = RunFolder.at(project / name)
        train(plan(*options)[0], folder)
        record = read_journal(folder.journal)
        assert record is not None
        first.append(record.history()["train/nll"][0])
    assert first[0] == first[1]
