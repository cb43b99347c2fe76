"""A sweep has at least one job, and each job once."""

from __future__ import annotations

import random
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
    "sort(range(0,3),reverse=true)",
    "tag(t,choice(b,a))",
    "int(1.5,2.5)",
    "float(range(0,2))",
    "bool(0,1)",
    "str('1',2)",
    "choice([1,2],{a:3})",
    "${seed},'x y'",
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
        (
            "seed=interval(0,1)",
            r"seed=interval\(0,1\): an interval is a range for a search, and there is no search yet",
        ),
        ("optimizer.lr=tag(t,interval(0,1))", r"allowed: values that can be listed, KEY=a,b  KEY=range\(0,3\)"),
        ("seed=choice()", r"seed=choice\(\) cannot be read: empty choice is not legal; text with parentheses needs"),
        ("seed=sort(a,1)", r"seed=sort\(a,1\) cannot be read: '<' not supported between instances of 'int' and 'str'"),
        ("seed=log(1,2)", r"cannot be read: Unknown function 'log'; allowed: bool,choice,float,glob,int,interval,"),
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


@pytest.mark.parametrize("values", ["shuffle(range(0,9))", "shuffle(0,1,2,3,4,5,6,7,8)", "shuffle(choice(8,0,4))"])
def test_shuffled_values_have_the_same_order_each_time(values: str) -> None:
    state = random.getstate()
    (first, *rest) = [expand(ROOT / "conf", [f"seed={values}", "+x=1"]) for _ in range(3)]
    assert rest == [first, first]
    assert random.getstate() == state
    seeds = [int(chosen[0].removeprefix("seed=")) for chosen in first]
    assert seeds != sorted(seeds)
    assert sorted(seeds) == ([0, 4, 8] if len(seeds) == 3 else list(range(9)))


def test_a_shuffled_list_is_one_value_that_stays(project: Project) -> None:
    words = ["model=mlp", "model.width=shuffle([1,2,3,4,5])"]
    found = {str(plan(*flags, *words)[0].frozen["model"]["width"]) for flags in ([], ["-m"], [], ["-m"])}
    assert len(found) == 1
    assert found != {"[1, 2, 3, 4, 5]"}


def test_an_interval_is_refused_without_multirun_too() -> None:
    with pytest.raises(BadInput, match=r"seed=interval\(0,1\): an interval is a range for a search"):
        plan("seed=interval(0,1)")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["executor=pool", "executor.slots=1,2"],
            r"^executor\.slots is 1 and 2 for jobs of one sweep; allowed: the same",
        ),
        (["executor=pool,inline"], "^executor is Pool and Inline for jobs of one sweep"),
        (["executor.timeout=60,61,62,63"], r"^executor\.timeout is 60\.0 and 61\.0 and 62\.0 for jobs of one sweep"),
        (["on_error=stop,continue", "seed=0,1"], "^on_error is stop and continue for jobs of one sweep"),
        (["figures=all,none"], "^figures is all and none .* because it says how the whole sweep runs"),
        (["tracking=none,embedded"], r"^tracking\.uri is None and sqlite:///mlflow\.db for jobs"),
    ],
)
def test_jobs_that_say_differently_how_their_sweep_runs_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        plan("-m", *words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["executor=pool", "executor.slots=0"], r"executor\.slots=0 must be auto, or a number from 1 to 1000"),
        (["executor=pol"], "^executor=pol does not exist; did you mean 'pool'"),
        (
            ["executor=inline", "executor.slots=2"],
            "slots=2 is no option; the chosen executor has none; slots belongs to executor=auto, executor=pool$",
        ),
        (
            ["on_error=stop_after:0"],
            "^on_error='stop_after:0' must be continue, stop or stop_after:N, with a whole num",
        ),
        (["figures=al"], "^figures='al' must be auto, all or none"),
        (["executor.slots=-1"], r"executor\.slots=-1 must be auto, or a number from 1 to 1000"),
        (["executor.timeout=0"], r"executor\.timeout=0\.0 must be a number of seconds above 0"),
        (["executor.gpu_fraction=2"], r"executor\.gpu_fraction=2\.0 must be above 0 and at most 1"),
        (["executor._target_=piecewise.models.mlp.Mlp"], r"executor\._target_='piecewise\.models\.mlp\.Mlp' is "),
        (["executor=inline", "+executor.slots=2"], r"executor\.slots=2 is no option of Inline; it has no options"),
    ],
)
def test_an_executor_that_cannot_be_made_is_refused_when_planning(words: list[str], message: str) -> None:
    for flags in ([], ["-m", "seed=0,1"]):
        with pytest.raises(BadInput, match=message):
            plan(*flags, *words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=shallow,cnn", "model.width=3", "seed=0,1"], r"^model\.width=3 .* list \(with model=cnn\)$"),
        (["model=cnn", "model.width=3", "seed=0,1"], r"^model\.width=3 .* list$"),  # it is not the seed
        (["model=shallow,nothing", "seed=0,1"], r"^model=nothing does not exist; [^()]*$"),  # it is quoted already
    ],
)
def test_the_error_of_one_job_names_its_options_of_groups(words: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        plan("-m", *words)


def test_a_whole_sweep_has_an_executor_of_its_own() -> None:
    jobs = plan("-m", "seed=0,1", "executor=pool", "executor.slots=2", "on_error=stop", "figures=all", "tracking=none")
    assert [job.frozen["executor"]["slots"] for job in jobs] == [2, 2]


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
        (
            '{optimizer.lr: "tag(x,interval(0,1))"}',
            r"interval\(0,1\)\): an interval is a range for a search",
        ),
        ("{on_error: 'stop,continue'}", "on_error is stop and continue for jobs of one sweep"),
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
