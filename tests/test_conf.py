"""The shipped configurations agree with dvc.yaml and with the options that tests expect."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from piecewise.errors import BadInput
from piecewise.jobs.about import experiments, read_about
from piecewise.jobs.job import Job
from piecewise.journal.names import folder_name
from piecewise.planning.compose import GENERATED, read_fetch

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"
OPTIONS = {
    "data": "binary_1d correlated counts csv curve_1d directions funnel gabor idx line mnist mnist1d moons "
    "multiclass_1d outliers proportions rankings regions_2d spirals two_modes waiting_times",
    "model": "cnn gabor linear mlp residual resnet shallow",
    "loss": "bernoulli beta categorical exponential gamma heteroscedastic laplace mixture multivariate_normal "
    "plackett_luce poisson squared_error student_t von_mises",
    "optimizer": "adam adamw gd momentum nesterov sgd",
    "scheduler": "cosine none onecycle step warmup",
    "trainer": "cpu ddp ddp_cpu default gpu overfit smoke",
    "tracking": "docker embedded none server",
}


@pytest.mark.parametrize(("group", "options"), OPTIONS.items())
def test_group_has_exactly_these_options(group: str, options: str) -> None:
    assert " ".join(sorted(path.stem for path in (CONF / group).glob("*.yaml"))) == options


@pytest.mark.parametrize(
    ("group", "option"), [(g, o) for g in ("optimizer", "scheduler", "trainer") for o in OPTIONS[g].split()]
)
def test_values_of_an_option_are_in_the_job(plan: Callable[..., list[Job]], group: str, option: str) -> None:
    (job,) = plan(f"{group}={option}")
    content = yaml.safe_load((CONF / group / f"{option}.yaml").read_text()) or {}
    for key, value in (content.get(group) or content).items():
        if key != "defaults" and "${" not in str(value):
            assert job.frozen[group][key] == value


def test_every_option_begins_with_a_comment() -> None:
    for path in sorted(CONF.glob("*/**/*.yaml")):
        lines = [line for line in path.read_text().splitlines() if line != "# @package _global_"]
        assert lines[0].startswith(("# ", "about:")), path


def test_dvc_lists_every_experiment_with_the_data_it_reads() -> None:
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    composed = {}
    for name in experiments(CONF):
        defaults = yaml.safe_load((CONF / "experiment" / f"{name}.yaml").read_text())["defaults"]
        composed[folder_name(name)] = next(item["override /data"] for item in defaults if "override /data" in item)
    assert pipeline["vars"][0]["data_of"] == composed
    assert pipeline["stages"]["synthesise"]["matrix"]["name"] == [folder_name(name) for name in GENERATED]


def test_experiment_without_a_question_is_refused(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "x.yaml").write_text("seed: 1\n")
    with pytest.raises(BadInput, match=r"x\.yaml: about\.question is missing"):
        read_about(tmp_path, "x")


def test_unknown_source_of_mnist_is_refused(tmp_path: Path) -> None:
    (tmp_path / "fetch.yaml").write_text("mnist: {sources: [torchvison], folder: null}\n")
    with pytest.raises(BadInput, match="did you mean 'torchvision'"):
        read_fetch(tmp_path)
