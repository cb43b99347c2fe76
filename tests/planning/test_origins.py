"""Origins of values: the named file, read without Hydra, must hold the value."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from piecewise.jobs.about import experiments
from piecewise.jobs.config_folders import SHIPPED_NAME
from piecewise.jobs.job import Job
from piecewise.planning.origins import COMMAND_LINE, SCHEMA, Key, Origin, Origins, find_origins
from piecewise.planning.schema import Config
from piecewise.project import Project
from small_project import add_search_path

Plan = Callable[..., list[Job]]
ROOT = Path(__file__).parents[2]
ABSENT = object()


def leaves(config: dict[str, Any], above: Key = ()) -> Iterator[tuple[Key, Any]]:
    for name, value in config.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*above, name))
        else:
            yield (*above, name), value


def look_up(content: Any, key: Key) -> Any:
    for part in key:
        content = content.get(part, ABSENT) if isinstance(content, dict) else ABSENT
    return content


def read(path: Path, key: Key) -> Any:
    """The value of `key` in a file; the file's package is in its first line or is its folder."""
    text = path.read_text()
    content = yaml.safe_load(text)
    is_global = text.startswith("# @package _global_") or path.parent.name == "conf"
    return look_up(content if is_global else {path.parent.name: content or {}}, key)


@pytest.mark.parametrize("experiment", experiments(ROOT / "conf"))
def test_every_value_of_a_shipped_experiment_is_in_the_named_file(
    project: Project, plan: Plan, experiment: str
) -> None:
    (job,) = plan(f"experiment={experiment}")
    origins = find_origins(project / "conf", [f"experiment={experiment}"])
    own = project / "conf" / "experiment" / f"{experiment}.yaml"
    schema = asdict(Config())
    for key, value in leaves(job.frozen):
        origin = origins.of(key)
        if origin.source == SCHEMA:
            found = look_up(schema, key)
        else:
            found = read(project / origin.source, key)
            if read(own, key) is not ABSENT:  # an experiment overrides every other file
                assert origin.source == f"conf/experiment/{experiment}.yaml"
        if origin.expression:
            path = re.fullmatch(r"\$\{([\w.]+)\}", found)
            assert path is not None and found == origin.expression  # noqa: PT018
            found = look_up(job.frozen, tuple(path[1].split(".")))
        assert found == value, (key, origin)
        groups = [project / "conf" / "optimizer" / "gd.yaml"] if experiment == "least_squares" else []
        if origin.source == SCHEMA:
            assert all(read(path, key) is ABSENT for path in [own, *groups]), key


def test_the_last_file_with_a_key_is_its_origin(project: Project, plan: Plan) -> None:
    own = project / "conf" / "experiment" / "mnist_cnn.yaml"
    lr = ("optimizer", "lr")
    seen = []
    for line in ("optimizer: {lr: 0.25}", "optimizer: {nesterov: true}"):
        own.write_text(re.sub(r"optimizer: \{.*\}", line, own.read_text()))
        origins = find_origins(project / "conf", ["experiment=mnist_cnn"])
        seen.append((plan("experiment=mnist_cnn")[0].frozen["optimizer"]["lr"], str(origins.of(lr))))
    assert seen == [(0.25, "conf/experiment/mnist_cnn.yaml"), (0.05, "conf/optimizer/nesterov.yaml")]


@pytest.mark.parametrize(
    ("defaults", "accelerator", "precision"),
    [
        ("[default]", "mine", "default"),
        ("[default, _self_]", "mine", "default"),
        ("[_self_, default]",) + 2 * ("default",),
    ],
)
def test_file_and_its_default_are_distinct(project: Project, defaults: str, accelerator: str, precision: str) -> None:
    """Hydra merges the default before or after the file, where `_self_` stands."""
    (project / "conf" / "trainer" / "mine.yaml").write_text(f"defaults: {defaults}\naccelerator: cpu\n")
    origins = find_origins(project / "conf", ["trainer=mine"])
    assert origins.of(("trainer", "accelerator")).source == f"conf/trainer/{accelerator}.yaml"
    assert origins.of(("trainer", "precision")).source == f"conf/trainer/{precision}.yaml"
    assert origins.of(("trainer", "defaults")).source == SCHEMA  # the list of defaults is no key of the job


@pytest.mark.parametrize(
    ("typed", "key", "origin"),
    [
        ("optimizer.lr=1", "optimizer.lr", COMMAND_LINE),
        ("optimizer.lr=1", "optimizer.betas", "conf/optimizer/adam.yaml"),
        ("+optimizer.weight_decay=1", "optimizer.weight_decay", COMMAND_LINE),
        ("++model.width=9", "model.width", COMMAND_LINE),
        ("optimizer={lr: 1}", "optimizer.lr", COMMAND_LINE),
        ("optimizer={lr: 1}", "optimizer.betas", "conf/optimizer/adam.yaml"),
        ("optimizer.betas.0=0.5", "optimizer.betas", COMMAND_LINE),
        ("optimizer.betas=[0.5,0.6]", "optimizer.betas", COMMAND_LINE),
        ("~early_stopping.patience", "early_stopping", COMMAND_LINE),
        ("~early_stopping.patience", "early_stopping.min_delta", SCHEMA),
        ("optimizer=gd", "batch_size", "conf/optimizer/gd.yaml"),
        ("scheduler=none", "scheduler", "conf/scheduler/none.yaml"),
        ("scheduler=onecycle", "scheduler.max_lr", "${optimizer.lr} (conf/scheduler/onecycle.yaml)"),
        ("loss.sigma='${optimizer.lr}'", "loss.sigma", "${optimizer.lr} (command line)"),
        ("optimizer.betas=['${optimizer.lr}',0.9]", "optimizer.betas", "['${optimizer.lr}', 0.9] (command line)"),
        ("early_stopping='${model}'", "early_stopping.patience", "${model} (command line)"),
    ],
)
def test_override_is_the_origin_of_the_keys_that_it_changes(
    project: Project, typed: str, key: str, origin: str
) -> None:
    assert str(find_origins(project / "conf", [typed]).of(tuple(key.split(".")))) == origin


def test_value_replaces_all_keys_below_its_key() -> None:
    origins = Origins()
    origins.put(("a",), {"x": 1, "y": {"z": 2}}, "first")
    origins.put(("a", "y"), None, "second")
    assert origins.of(("a", "x")) == Origin("first", 1)
    assert origins.of(("a", "y", "z")) == Origin("second", None)


def test_sweep_comes_from_the_experiment_and_the_command_line(project: Project) -> None:
    conf, chosen = project / "conf", "experiment=shallow_regression"
    assert find_origins(conf, [chosen]).sweep() == {"model.width": "3,20", "seed": "0,1,2"}
    assert find_origins(conf, [chosen, "hydra.sweeper.params.seed='4,5'"]).sweep()["seed"] == "4,5"
    assert find_origins(conf, [chosen, "~hydra.sweeper.params.seed"]).sweep() == {"model.width": "3,20"}
    assert find_origins(conf, ["experiment=least_squares"]).sweep() == {}


def test_file_of_another_folder_is_named_with_its_folder(project: Project) -> None:
    """Hydra reads the project's own file first, then the folders in the order of hydra.searchpath."""
    folder = project / "more configurations" / "model"
    folder.mkdir(parents=True)
    for name in ("mine", "shallow"):
        (folder / f"{name}.yaml").write_text("_target_: piecewise.models.shallow.Shallow\nwidth: 5\n")
    add_search_path(project, folder.parent.name, SHIPPED_NAME)
    (project / "conf" / "model" / "mlp.yaml").unlink()
    for model, source in (
        ("mine", "more configurations/model/mine.yaml"),
        ("shallow", "conf/model/shallow.yaml"),
        ("mlp", "pkg://piecewise.conf/model/mlp.yaml"),
    ):
        origins = find_origins(project / "conf", [f"model={model}"])
        assert origins.of(("model", "width")).source == source
        assert origins.of(("data", "noise")).source == "conf/data/curve_1d.yaml"
