"""The arrays that a figure is drawn from, against the model itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from piecewise.analysis.draw import of_arrays
from piecewise.analysis.figure_arrays import NUM_POINTS, arrays_of, most_confidently_wrong
from piecewise.data.spec import Examples
from piecewise.execution.train import train
from piecewise.extras import Extras
from piecewise.jobs import build
from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project
from piecewise.theory.closed_form import least_squares
from piecewise.theory.polygons import region_map
from small_project import TINY

Plan = Callable[..., list[Job]]


def arrays(job: Job, folder: RunFolder) -> tuple[build.Parts, dict[str, torch.Tensor]]:
    """The parts of the job, with fresh weights, and the arrays of their figures, none of which is left out."""
    parts = build.build_parts(job.config)
    test = parts.source.test(parts.loss.kind)
    with torch.no_grad():
        outputs = parts.model(test.x)
    extras = Extras("test")
    found = arrays_of(parts, test, outputs, folder, extras)
    assert extras.left_out == {}
    return parts, found


@pytest.fixture
def nowhere(tmp_path: Path) -> RunFolder:
    return RunFolder.at(tmp_path / "nowhere")


def test_the_units_of_a_shallow_network_add_up_to_it(plan: Plan, nowhere: RunFolder) -> None:
    parts, found = arrays(plan(*TINY)[0], nowhere)
    total = (found["units_act"] * found["units_weight"]).sum(dim=1) + found["units_bias"]
    with torch.no_grad():
        torch.testing.assert_close(total, parts.model(found["units_x"][:, None])[:, 0])
    assert torch.equal(found["units_act"], found["units_pre"].clamp_min(0))


def test_a_wide_network_is_not_drawn_unit_by_unit(plan: Plan, nowhere: RunFolder) -> None:
    assert not [key for key in arrays(plan(*TINY, "model.width=30")[0], nowhere)[1] if key.startswith("units")]


def test_the_true_function_comes_from_the_data_source(plan: Plan, nowhere: RunFolder) -> None:
    found = arrays(plan(*TINY, "data.noise=0.3")[0], nowhere)[1]
    torch.testing.assert_close(found["truth_y"], torch.exp(torch.sin(4 * found["truth_x"])) - 1)
    assert (len(found["truth_x"]), float(found["noise"])) == (NUM_POINTS, pytest.approx(0.3))


def test_the_surface_is_lowest_where_the_closed_form_is(plan: Plan, project: Project) -> None:
    (job,) = plan(
        "data=line", "model=linear", "optimizer=gd", "optimizer.lr=0.5", "trainer.max_epochs=80", "tracking=none"
    )
    folder = RunFolder.at(project / "runs" / "one")
    train(job, folder)
    parts, found = arrays(job, folder)
    examples, _ = parts.examples
    intercept, slopes = least_squares(examples.x, examples.y)
    row, column = divmod(int(found["surface"].argmin()), found["surface"].shape[1])
    step = [float(found[key].diff()[0]) for key in ("surface_x", "surface_y")]
    lowest = found["surface_x"][column], found["surface_y"][row]
    for value, wanted, size in zip(lowest, (intercept, slopes[0]), step, strict=True):
        assert abs(float(value) - float(wanted)) < 3 * size  # the surface is of all examples, training holds some back
    path = load_file(folder.parameter_path)
    torch.testing.assert_close(found["surface_path"][-1], path["parameters"][-1].flip(0))
    assert found["surface_ends"][0] > found["surface_ends"][1]


@pytest.mark.parametrize("model", ["mlp", "shallow"])
def test_two_inputs_get_a_decision_map_and_a_region_map(
    plan: Plan, project: Project, nowhere: RunFolder, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    table = np.column_stack([rng.normal(size=(60, 2)), rng.integers(0, 3, 60)])
    np.savetxt(project / "t.csv", table, delimiter=",", header="a,b,kind", comments="")
    (job,) = plan(
        *("data=csv", "data.path=t.csv", "data.target=kind", "loss=categorical", "batch_size=10"),
        *(f"model={model}", "model.width=12"),
    )
    parts, found = arrays(job, nowhere)
    (left, right), (low, high) = found["plane_extent"].tolist()
    with torch.no_grad():
        corners = parts.model(torch.tensor([[left, low], [right, low], [left, high]]))
    outputs = found["plane_outputs"]
    torch.testing.assert_close(torch.stack([outputs[0, 0], outputs[0, -1], outputs[-1, 0]]), corners)
    exact = region_map(parts.model, (left, right, low, high))
    assert exact is not None
    assert found["plane_num_corners"].tolist() == [len(region.vertices) for region in exact.regions]
    figures = of_arrays({key: value.numpy() for key, value in found.items()})
    assert list(figures) == ["decision_map", "region_map", "confusion_matrix"]
    monkeypatch.setattr("piecewise.analysis.plane_arrays.MAX_REGIONS", len(exact.regions) - 1)
    extras, test = Extras("test"), parts.source.test(parts.loss.kind)
    assert "plane_corners" not in arrays_of(parts, test, found["outputs"], nowhere, extras)
    assert extras.left_out == {"region_map": f"more than {len(exact.regions) - 1} activation patterns"}


def test_filters_are_the_first_layers_weights(plan: Plan, nowhere: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    (job,) = plan("data=mnist1d", "model=mlp", "loss=categorical", "tracking=none")
    assert "filters" not in arrays(job, nowhere)[1]  # MNIST-1D holds signals, not images


def test_the_hardest_examples_are_wrong_and_the_most_confident_first() -> None:
    logits = torch.tensor([[5.0, 0.0], [3.0, 0.0], [0.0, 1.0], [0.0, 4.0]])
    assert most_confidently_wrong(logits, torch.tensor([0, 1, 0, 0])).tolist() == [3, 1, 2]
    assert len(Examples(logits, logits)) == 4
