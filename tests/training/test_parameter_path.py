from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.utils import parameters_to_vector

from piecewise.analysis.trained import load_trained
from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project
from piecewise.training.parameter_path import NUM_FIRST_STEPS, ParameterPath
from small_project import TINY, write_images

Plan = Callable[..., list[Job]]


@pytest.fixture
def tiny_images(tmp_path: Path) -> Path:
    """Images of 8 × 8 pixels with two classes."""
    write_images(tmp_path / "images", num_train=20, num_test=6, size=8)
    return tmp_path / "images"


def path_of(job: Job, folder: RunFolder) -> tuple[list[int], torch.Tensor]:
    train(job, folder)
    found = load_file(folder.parameter_path)
    return found["steps"].tolist(), found["parameters"]


def test_the_path_starts_before_the_first_step_and_ends_with_the_last_weights(plan: Plan, project: Project) -> None:
    (job,) = plan(*TINY, "select=last", "trainer.max_epochs=90")
    folder = RunFolder.at(project / "runs" / "one")
    steps, parameters = path_of(job, folder)
    assert steps[: NUM_FIRST_STEPS + 1] == list(range(NUM_FIRST_STEPS + 1))
    assert steps[-1] == 360
    assert steps == sorted(set(steps))
    assert len(steps) == 1 + NUM_FIRST_STEPS + (360 - NUM_FIRST_STEPS) // 2
    torch.testing.assert_close(parameters[-1], parameters_to_vector(load_trained(folder).model.parameters()))


@pytest.mark.parametrize("model", ["cnn", "resnet"])
def test_a_small_convolutional_network_has_a_path(plan: Plan, project: Project, tiny_images: Path, model: str) -> None:
    """Its weights lie in memory by channels, not in the order of their indices."""
    options = ["data=idx", f"data.path={tiny_images}", f"model={model}", "model.width=[2,3]", "loss=categorical"]
    (job,) = plan(*options, "batch_size=8", "trainer.max_epochs=1", "select=last", "tracking=none")
    folder = RunFolder.at(project / "runs" / "one")
    _, parameters = path_of(job, folder)
    last = load_trained(folder).model.parameters()
    assert torch.equal(parameters[-1], torch.cat([values.detach().flatten() for values in last]))


def test_a_large_model_has_no_path(plan: Plan, project: Project) -> None:
    (job,) = plan(*TINY, "model.width=400")
    train(job, RunFolder.at(project / "runs" / "one"))
    assert not (project / "runs" / "one" / "training" / "path.safetensors").exists()


def test_a_checkpoint_holds_the_path() -> None:
    first, second = ParameterPath(1), ParameterPath(1)
    first.steps, first.parameters = [0, 1], [torch.zeros(2), torch.ones(2)]
    second.load_state_dict(first.state_dict())
    assert second.steps == [0, 1]
    assert torch.equal(torch.stack(second.parameters), torch.stack(first.parameters))
