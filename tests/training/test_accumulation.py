"""An optimizer step is the mean over its examples, however they are cut into accumulated batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from piecewise import stopping
from piecewise.data.randomness import epoch_order
from piecewise.data.resident import Batch, TrainLoader
from piecewise.data.spec import Examples
from piecewise.execution.train import train
from piecewise.jobs.build import build_parts
from piecewise.jobs.job import Job
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder, read_result
from piecewise.project import Project
from piecewise.training.module import TrainingModule
from steps_taken import note_steps, stop_at

Plan = Callable[..., list[Job]]
N = 42  # examples to train on
OPTIONS = [
    *("data.num_train=47", "data.num_test=20", "trainer.max_epochs=3", "log_every_n_steps=1", "select=last"),
    *("optimizer=sgd", "optimizer.lr=0.5", "trainer.precision=64-true", "tracking=none"),
]
CLIP = 0.05  # below the norm of every gradient here


def trained(plan: Plan, place: Path, *options: str) -> RunFolder:
    (job,) = plan(*OPTIONS, *options)
    folder = RunFolder.at(place)
    train(job, folder)
    return folder


def assert_same(folder: RunFolder, other: RunFolder) -> None:
    """Equal weights after every step, and equal training losses."""
    path, expected = (load_file(run.parameter_path) for run in (folder, other))
    assert torch.equal(path["steps"], expected["steps"])
    torch.testing.assert_close(path["parameters"], expected["parameters"], rtol=0, atol=1e-13)
    losses, wanted = (dict(history_of(run)["train/nll"]) for run in (folder, other))
    assert losses == pytest.approx(wanted, rel=1e-13)


def history_of(folder: RunFolder) -> dict[str, Any]:
    record = read_journal(folder.journal)
    assert record is not None
    return record.history()


@pytest.mark.parametrize(
    ("size", "accumulated", "equal"),
    [
        (14, 3, "all"),  # divisible
        (21, 5, "all"),  # longer than the epoch: Lightning alone would take two fifths of the step
        ("all", 4, "all"),  # one batch
        (10, 5, "all"),  # the last batch has two examples: Lightning alone would give each the weight of five
        (7, 2, 14),  # several steps in an epoch
        pytest.param(7, 4, 28, marks=pytest.mark.slow),  # the last step has two of four batches
        (10, 4, 40),  # the last step has one of four batches, of two examples
        pytest.param(10, 2, 20, marks=pytest.mark.slow),  # the last step has one of two batches, of two examples
        (1, 40, 40),
    ],
)
def test_accumulated_batches_step_as_one_batch_of_their_examples(
    plan: Plan, project: Project, size: int | str, accumulated: int, equal: int | str
) -> None:
    options = [f"batch_size={size}", f"trainer.accumulate_grad_batches={accumulated}"]
    found = trained(plan, project / "found", *options)
    assert_same(found, trained(plan, project / "wanted", f"batch_size={equal}"))


def test_the_gradient_of_the_whole_step_is_clipped(plan: Plan, project: Project) -> None:
    clip = f"trainer.gradient_clip_val={CLIP}"
    found = trained(plan, project / "found", "batch_size=10", "trainer.accumulate_grad_batches=4", clip)
    wanted = trained(plan, project / "wanted", "batch_size=40", clip)
    assert_same(found, wanted)
    steps = load_file(wanted.parameter_path)["parameters"].diff(dim=0).norm(dim=1)
    torch.testing.assert_close(steps, torch.full_like(steps, 0.5 * CLIP), rtol=1e-4, atol=0)  # every step was clipped


def by_hand(job: Job, num: int, steps: list[slice], count: int) -> Tensor:
    """The weights after `count` steps on the mean of the examples in each slice of an epoch's order of `num`.

    Without Lightning, loader, module and loss class.
    """
    parts = build_parts(job.config)
    model, (data, _) = parts.model.double(), parts.examples
    x, y = data.x.double(), data.y.double()
    for step in range(count):
        epoch, place = divmod(step, len(steps))
        rows = epoch_order(num, job.config.seed, epoch)[steps[place]]
        loss = 0.5 * (model(x[rows]) - y[rows]).square().sum() / len(rows)
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for weight, gradient in zip(model.parameters(), gradients, strict=True):
                weight -= 0.5 * gradient
    return torch.nn.utils.parameters_to_vector(model.parameters())


THIRTY = slice(30)


@pytest.mark.parametrize(
    ("options", "num", "steps", "count"),
    [
        ([], N, [THIRTY, slice(30, 42)], 6),
        (["trainer.limit_train_batches=4"], N, [THIRTY, slice(30, 40)], 6),
        (["trainer.limit_train_batches=2"], N, [slice(20)], 3),
        (["trainer.limit_train_batches=0.8"], N, [THIRTY, slice(30, 40)], 6),
        (["trainer.overfit_batches=4"], 40, [THIRTY, slice(30, 40)], 6),  # the first 40 examples again and again
        (["+trainer.max_steps=3"], N, [THIRTY, slice(30, 42)], 3),
    ],
)
def test_limits_end_the_last_step_of_an_epoch(
    plan: Plan, project: Project, options: list[str], num: int, steps: list[slice], count: int
) -> None:
    options = ["batch_size=10", "trainer.accumulate_grad_batches=3", *options]
    folder = trained(plan, project / "one", *options)
    assert read_result(folder)["steps"] == read_result(folder)["steps_planned"] == count
    expected = by_hand(plan(*OPTIONS, *options)[0], num, steps, count)
    torch.testing.assert_close(load_file(folder.parameter_path)["parameters"][-1], expected, rtol=0, atol=1e-13)


def test_a_step_is_the_same_after_resuming_within_an_epoch(
    plan: Plan, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six batches of seven, three steps: the last one of an epoch has two of four batches, after a resume too."""
    options = ["batch_size=7", "trainer.accumulate_grad_batches=4"]
    wanted = trained(plan, project / "wanted", "batch_size=28")
    with monkeypatch.context() as patched:
        stop_at(patched, 3)
        with pytest.raises(stopping.Stopped):
            trained(plan, project / "runs" / "one", *options)
    folder, (job,) = RunFolder.at(project / "runs" / "one"), plan(*OPTIONS, *options)
    taken = note_steps(monkeypatch)
    train(job, folder, is_resumed=True)
    assert taken == [3, 3, 4, 4, 4, 4, 5, 5]  # the number of steps before each batch: resumed, not restarted
    assert_same(folder, wanted)


@pytest.mark.slow
def test_two_ranks_step_as_one_process(plan: Plan, project: Project) -> None:
    accumulated = ["batch_size=10", "trainer.accumulate_grad_batches=4"]
    found = trained(plan, project / "found", *accumulated, "trainer=ddp_cpu", "log_every_n_steps=4")
    assert read_result(found)["numerics"]["world_size"] == 2
    assert_same(found, trained(plan, project / "wanted", "batch_size=40", "log_every_n_steps=4"))
    assert [step for step, _ in history_of(found)["train/nll"]] == [1, 4, 6]


def test_masks_are_drawn_for_each_batch_whatever_is_accumulated() -> None:
    """An accumulated batch has the number that it has alone, from which masks are drawn."""
    examples = Examples(torch.zeros(N, 1), torch.zeros(N, 1))
    loader, accumulating = (TrainLoader(examples, 10, seed=3, accumulated=count) for count in (1, 4))
    for alone, accumulated in zip(loader, accumulating, strict=True):
        assert alone.number == accumulated.number
    assert [batch.step_size for batch in accumulating] == [40] * 4 + [2]
    assert [batch.step_size for batch in loader] == [10] * 4 + [2]


def test_the_progress_bar_shows_the_mean_of_a_batch(
    plan: Plan, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the share of it that Lightning passes on."""
    shown: list[float] = []
    original = TrainingModule.training_step

    def training_step(self: TrainingModule, batch: Batch, batch_idx: int) -> Tensor:
        loss = original(self, batch, batch_idx)
        with torch.no_grad():
            outputs = self.model(batch.x.to(next(self.model.parameters()).dtype))
            wanted = self.loss.nll(outputs, batch.y).mean().item()
        shown.append(self.batch_loss / wanted)
        return loss

    monkeypatch.setattr(TrainingModule, "training_step", training_step)
    trained(plan, project / "one", "batch_size=10", "trainer.accumulate_grad_batches=4")
    assert shown[-15:] == pytest.approx([1] * 15)  # planning may have taken trial steps before
