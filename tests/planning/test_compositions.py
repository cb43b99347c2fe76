"""Jobs with the same options of groups are composed once, and equal those that are composed anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl

from composed_anew import outcome, outcome_anew
from piecewise.errors import BadInput
from piecewise.jobs.job import Job
from piecewise.planning.plan import plan_command_line
from piecewise.project import Project
from sweep_lines import add_experiments


@pytest.fixture
def swept(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr("piecewise.execution.trial._refusal", lambda parts: None)
    add_experiments(project)
    return project


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[str]]]:
    """The overrides of each composition by Hydra."""
    compose, found = ConfigLoaderImpl.load_configuration, []

    def load(self: Any, config_name: str, overrides: list[str], *rest: Any) -> Any:
        found.append(overrides)
        return compose(self, config_name, overrides, *rest)

    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", load)
    return found


@pytest.mark.parametrize(
    "words",
    [
        ["-m", "optimizer.lr=0.1,1", "optimizer=sgd,adam", "seed=${batch_size},2", "+trainer.max_steps=5"],
        ["-m", "experiment=swept,chapter/heir", "scheduler.max_lr=${optimizer.lr}", "scheduler=onecycle"],
        ["-m", "optimizer.lr=3", "~optimizer.lr", "+optimizer.lr=0.1,0.2", "++optimizer.eps=0.1", "data=line"],
        ["-m", "early_stopping={patience: 3},{patience: 4}", "early_stopping.min_delta=0.1", "about.question='a,b'"],
        ["-m", "model=shuffle(mlp,linear)", "seed=shuffle(range(0,2))", "model={width: 4}"],
        ["-m", "seed=3", "seed=4", "data.folder=/a/hydra/b,/c", "~scheduler"],
        ["seed=shuffle([3])"],
        ["-m", "model=mlp,linear", "model.width=5"],  # refused for the second job
        ["-m", "optimizer.lr=0.1,-1", "seed=0,1"],
        ["-m", "optimizer@other=adam", "seed=0,1"],
        ["-m", "seed=0,1", "~optimizer.nothing"],
        ["-m", "batch_size=10,100000"],
    ],
)
def test_jobs_and_errors_are_those_of_composing_each_anew(swept: Project, words: list[str]) -> None:
    assert outcome(swept.conf, words) == outcome_anew(swept.conf, words)


def test_hydra_composes_once_for_each_set_of_options(swept: Project, composed: list[list[str]]) -> None:
    words = ["optimizer.lr=0.1,0.2", "model=mlp,linear", "+trainer.max_steps=5,6", "seed=range(0,3)", "~scheduler"]
    assert len(plan_command_line(swept.conf, ["-m", *words])) == 24
    once_each = [["model=mlp", "~scheduler=null"], ["model=linear", "~scheduler=null"]]
    assert composed[1:] == once_each  # the first finds hydra.sweeper.params


def test_an_option_that_a_file_chooses_by_another_follows_each_job(swept: Project) -> None:
    jobs = plan_command_line(swept.conf, ["-m", "optimizer=adam,sgd", "seed=0,1"])
    alone = [plan_command_line(swept.conf, list(job.overrides))[0] for job in jobs]
    assert [job.frozen for job in jobs] == [job.frozen for job in alone]
    assert len({job.frozen["log_every_n_steps"] for job in jobs}) == 2


def test_a_fault_of_an_experiment_is_found_for_each_set_of_options(project: Project) -> None:
    (project.conf / "experiment" / "evil.yaml").write_text("# @package _global_\nseed: ${oc.env:HOME}\n")
    with pytest.raises(BadInput, match=r"evil\.yaml: .*'\$\{oc\.env:HOME\}' is not allowed"):
        plan_command_line(project.conf, ["-m", "seed=0,1", "experiment=least_squares,evil"])


def test_one_job_changes_no_other(swept: Project) -> None:
    def shown(jobs: list[Job]) -> list[tuple[Any, ...]]:
        return [(job.frozen["optimizer"].get("eps"), job.frozen["model"]["width"]) for job in jobs]

    words = ["-m", "model=mlp", "+optimizer.eps=0.1,0.2", "model.width=[3,4],5"]
    assert shown(plan_command_line(swept.conf, words)) == [(0.1, [3, 4]), (0.1, 5), (0.2, [3, 4]), (0.2, 5)]
