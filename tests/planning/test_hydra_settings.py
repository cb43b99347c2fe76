"""Hydra calls the targets below the key `hydra`, so only the project's own config.yaml may have that key."""

from __future__ import annotations

import os

import pytest

from piecewise.errors import BadInput
from piecewise.planning.hydra_settings import refuse_hydra_settings
from piecewise.planning.plan import plan_command_line, plan_experiment
from piecewise.project import Project

EVIL = "{_target_: os.system, command: echo}"


@pytest.fixture(autouse=True)
def _fail_on_os_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "system", lambda command: pytest.fail("os.system was called"))


@pytest.mark.parametrize(
    "override",
    [
        f"+hydra.callbacks.x={EVIL}",
        f"hydra.launcher={EVIL}",
        "hydra.searchpath=[pkg://this]",
        "hydra/launcher=joblib",
        "+model@hydra.callbacks.x=mlp",
        "hydra.run.dir=somewhere",
        "hydra.output_subdir=here",
        "--config-dir=/tmp",
        "-cn",
    ],
)
def test_arguments_that_set_hydra_are_refused(project: Project, override: str) -> None:
    before = sorted(project.root.rglob("*"))
    with pytest.raises(BadInput, match="is not allowed"):
        plan_command_line(project / "conf", [override])
    assert sorted(project.root.rglob("*")) == before


@pytest.mark.parametrize(
    "text",
    [
        f"hydra: {{callbacks: {{x: {EVIL}}}}}",
        f"hydra: {{sweeper: {EVIL}}}",
        f"hydra: {{job_logging: {{handlers: {{x: {EVIL}}}}}}}",
        "defaults: [override /hydra/launcher: joblib]",
        "defaults: [/model@hydra.callbacks: mlp]",
        "about: {question: '${oc.${about.source}:SECRET}', source: env}",
        "defaults: [override /model: '${oc.env:SECRET}']",
        "about: {question: '${now:%Y}'}",
        "seed: ${hydra.job.num}",
    ],
)
def test_files_that_set_hydra_or_read_the_environment_are_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("SECRET", "canary")
    (project / "conf" / "experiment" / "evil.yaml").write_text(f"# @package _global_\n{text}\n")
    for plan in (
        lambda: plan_command_line(project / "conf", ["experiment=evil"]),
        lambda: plan_experiment(project / "conf", "evil"),
    ):
        with pytest.raises(BadInput, match=r"evil\.yaml: .* is not allowed") as refused:
            plan()
        assert "canary" not in str(refused.value)


def test_a_package_header_that_names_hydra_is_refused(project: Project) -> None:
    (project / "conf" / "model" / "evil.yaml").write_text(f"# @package hydra.callbacks\nx: {EVIL}\n")
    with pytest.raises(BadInput, match=r"evil\.yaml"):
        refuse_hydra_settings(project / "conf", [])


def test_shipped_configurations_are_allowed(project: Project) -> None:
    refuse_hydra_settings(project / "conf", ["-m", "seed=0,1", "--hydra-help", "experiment=mnist_cnn"])
    assert plan_experiment(project / "conf", "least_squares")
