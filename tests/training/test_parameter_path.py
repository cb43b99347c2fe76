from __future__ import annotations

from collections.abc import Callable

import torch
from safetensors.torch import load_file
from torch.nn.utils import parameters_to_vector

from piecewise.analysis.trained import load_trained
from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project
from piecewise.training.parameter_path import NUM_FIRST_STEPS, ParameterPath
from small_project import TINY

Plan = Callable[..., list[Job]]


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
