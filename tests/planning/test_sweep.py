"""A sweep has at least one job, and each job once."""

from __future__ import annotations

from random import Random

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from piecewise.cli import main
from piecewise.errors import BadInput
from piecewise.jobs.job import Job
from piecewise.planning.compose import compose
from piecewise.planning.plan import plan_command_line, plan_experiment
from piecewise.planning.sweep import expand
from piecewise.project import Project
from small_project import ROOT

VALUES = [
    "3",
    "1,2",
    "choice(a,b,c)",
    "range(0,3)",
    "range(0,1,0.25)",
    "range(3,0,-1)",
    "sort(3,1,2)",
    "'a,b'",
    "[1,2]",
]


def plan(*arguments: str) -> list[Job]:
    return plan_command_line(ROOT / "conf", list(arguments))


def test_the_jobs_are_those_of_hydras_own_sweeper() -> None:
    rng = Random(0)
    for _ in range(50):
        keys = rng.choices(
            ["seed", "model.width", "+data.extra", "optimizer", "~scheduler", "a@b"], k=rng.randint(1, 4)
        )
        overrides = [f"{key}={rng.choice(VALUES)}" for key in keys]
        (hydras,) = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(overrides), None)
        assert expand(ROOT / "conf", overrides) == hydras


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("experiment=glob(lest_*)", r"experiment=glob\(lest_\*\) matches no option of experiment; .*least_squares"),
        ("model=glob(*,exclude=*)", r"model=glob\(\*,exclude=\*\) matches no option of model; .*shallow"),
        ("seed=glob(*)", "seed is no group; allowed: data, "),
        ("seed=range(3,0)", r"seed=range\(3,0\) has no value: .*allowed: range\(0,3\)"),
        ("seed=range(0)", r"seed=range\(0\) has no value"),
        ("seed=range(0,3,-1)", "has no value"),
        ("optimizer.lr=range(0.3,0.1)", "has no value"),
        ("seed=range(0,3,0)", r"range\(0,3,0\): .*allowed: a step other than 0"),
        ("seed=range(0,3,0.0)", "a step other than 0"),
        ("seed=range(0,inf)", "too many values; allowed: at most 100,000"),
        ("seed=interval(0,1)", r"seed=interval\(0,1\) has no list of values; allowed: KEY=a,b"),
        ("seed=choice()", r"seed=choice\(\) cannot be read"),
    ],
)
def test_a_sweep_without_jobs_is_refused(override: str, message: str) -> None:
    for others in ([], ["model.width=3,4"]):
        with pytest.raises(BadInput, match=message) as refused:
            plan("-m", override, *others)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed=0,0", "one job twice: seed=0 and seed=0; allowed: each value once"),
        ("seed=choice(1,0,1)", "one job twice: seed=1 and seed=1"),
        ("optimizer.lr=1,1.0", r"optimizer\.lr=1 and optimizer\.lr=1\.0"),
        ("model=shallow,shallow", "model=shallow and model=shallow"),
    ],
)
def test_a_sweep_with_a_job_twice_is_refused(override: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        plan("-m", override)


def test_a_sweep_without_jobs_ends_the_command_with_exit_code_2(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "-m", "seed=range(3,0)"]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert not (project / "runs").exists()


def test_a_sweep_of_too_many_jobs_is_refused_before_any_is_composed() -> None:
    with pytest.raises(BadInput, match="the sweep has 1,000,000 jobs; allowed: at most 100,000"):
        plan("-m", "seed=range(0,1000)", "model.width=range(1,1001)")


def test_multirun_of_one_value_is_one_job() -> None:
    assert plan("-m", "seed=3") == plan("seed=3")
    assert plan("-m") == plan()
    assert [job.name for job in plan("-m", "experiment=glob(least*)")] == ["least_squares"]


def test_several_values_without_multirun_are_refused() -> None:
    with pytest.raises(BadInput, match="seed=0,1 has several values; allowed: -m"):
        plan("seed=0,1")
    with pytest.raises(BadInput, match="seed=range"):
        plan("seed=range(0,3)")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ('{seed: "range(3,0)"}', r"seed=range\(3,0\) has no value"),
        ('{model: "glob(x*)"}', r"model=glob\(x\*\) matches no option"),
        ("{seed: '0,0'}", "one job twice"),
        ("{seed: [0, 1]}", r'hydra\.sweeper\.params has seed: \[0, 1\]; allowed: .*seed: "0,1,2"'),
        ("{seed: 0,1,2}", r"hydra\.sweeper\.params has 1: no value; allowed: the values between quotes"),
        ("{seed: }", r"hydra\.sweeper\.params has seed: no value"),
    ],
)
def test_an_experiment_without_jobs_is_refused_wherever_it_is_composed(
    project: Project, params: str, message: str
) -> None:
    text = f"# @package _global_\nabout: {{question: Why}}\nhydra: {{sweeper: {{params: {params}}}}}\n"
    (project / "conf" / "experiment" / "none.yaml").write_text(text)
    for composed in (
        lambda: plan_command_line(project.conf, ["-m", "experiment=none"]),
        lambda: plan_experiment(project.conf, "none"),
    ):
        with pytest.raises(BadInput, match=message):
            composed()


def test_an_experiment_without_jobs_fails_its_own_stage_alone(project: Project) -> None:
    for path in (project / "conf" / "experiment").glob("*.yaml"):
        if path.stem != "least_squares":
            path.unlink()
    text = '# @package _global_\nabout: {question: Why}\nhydra: {sweeper: {params: {seed: "range(0)"}}}\n'
    (project / "conf" / "experiment" / "none.yaml").write_text(text)
    (error,) = compose(project.conf, project.build)
    assert error.startswith("conf/experiment/none.yaml: seed=range(0) has no value")
