"""Options in sub-folders are chosen by their whole path, and nothing outside the project's folders is read."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from piecewise.errors import BadInput
from piecewise.jobs.job import Job
from piecewise.planning.compose import compose
from piecewise.planning.plan import plan_experiment
from piecewise.project import Project
from small_project import add_search_path

Plan = Callable[..., list[Job]]
FIT = """\
# @package _global_
about: {question: "Mine?"}
defaults: [override /model: deep/mine, override /data: few/line]
"""
SWEPT = f'{FIT}hydra: {{sweeper: {{params: {{seed: "0,1"}}}}}}\n'


@pytest.fixture
def nested(project: Project) -> Project:
    """A project with one experiment at the top, two in chapters, and a model and a data set in sub-folders."""
    conf = project.conf
    for path in (conf / "experiment").glob("*.yaml"):
        if path.stem != "least_squares":
            path.unlink()
    files = {
        "experiment/one/fit.yaml": FIT,
        "experiment/two/deep/fit.yaml": SWEPT,
        "model/deep/mine.yaml": (conf / "model" / "mlp.yaml").read_text(),
        "data/few/line.yaml": "defaults: [line, _self_]\nnum_train: 90\n",
    }
    for name, text in files.items():
        (conf / name).parent.mkdir(parents=True, exist_ok=True)
        (conf / name).write_text(text)
    return project


def test_experiments_data_and_models_in_sub_folders_are_chosen(nested: Project, plan: Plan) -> None:
    (job,) = plan("experiment=one/fit")
    assert (job.name, job.title, job.label) == ("one/fit", "one/fit", "")
    assert (job.config.model.target, job.frozen["data"]["num_train"]) == ("piecewise.models.mlp.Mlp", 90)
    (job,) = plan("data=few/line", "model=deep/mine")
    assert (job.name, job.label) == ("few/line-deep/mine", "data=few/line,model=deep/mine")


def test_sweeps_and_globs_reach_sub_folders(nested: Project, plan: Plan) -> None:
    def names(values: str) -> list[str]:
        return [job.title for job in plan("-m", f"experiment={values}")]

    assert names("two/deep/fit") == ["two/deep/fit seed=0", "two/deep/fit seed=1"]
    assert names("one/fit,least_squares") == ["one/fit", "least_squares"]
    assert names("glob(*)") == ["least_squares", "one/fit", "two/deep/fit"]
    assert names("glob(two/*)") == ["two/deep/fit"]
    assert names("glob(*,exclude=[one/*,least*])") == ["two/deep/fit"]
    assert [job.config.model.target for job in plan("-m", "model=glob(deep/*)")] == ["piecewise.models.mlp.Mlp"]


def test_the_pipeline_has_a_file_for_each_experiment(nested: Project) -> None:
    assert compose(nested.conf, nested.build) == []
    jobs = {path.name: json.loads(path.read_text())["jobs"] for path in (nested.build / "jobs").iterdir()}
    assert jobs.keys() == {"least_squares.json", "one--fit.json", "two--deep--fit.json"}
    assert [job["name"] for job in jobs["two--deep--fit.json"]] == ["two/deep/fit", "two/deep/fit"]
    assert {"one/fit", "two/deep/fit"} < json.loads((nested.build / "about.json").read_text()).keys()


def test_a_folder_of_the_search_path_has_chapters_too(nested: Project, plan: Plan) -> None:
    (nested.conf / "experiment" / "one").rename(nested / "one")
    (nested / "more" / "experiment").mkdir(parents=True)
    (nested / "one").rename(nested / "more" / "experiment" / "one")
    add_search_path(nested, "more")
    assert [job.name for job in plan("-m", "experiment=glob(*/fit)")] == ["one/fit", "two/deep/fit"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("experiment=one/fat", r"experiment=one/fat does not exist; did you mean 'one/fit'\? allowed: least_squares, "),
        ("experiment=fit", r"experiment=fit does not exist; did you mean 'one/fit'\?"),
        ("experiment=three/fit", r"did you mean 'one/fit'\?"),
        ("experiment=one", "experiment=one does not exist; .*allowed: least_squares, one/fit, two/deep/fit"),
        ("experiment=one/", "experiment=one/ does not exist"),
        ("experiment=/one/fit", "experiment=/one/fit does not exist"),
        ("experiment=one//fit", "experiment=one//fit does not exist"),
        ("experiment=./one/fit", "does not exist"),
        ("experiment=two/../one/fit", "does not exist"),
        ("experiment=../experiment/least_squares", "does not exist"),
        ("experiment=least_squares.yaml", r"did you mean 'least_squares'\?"),
        ("experiment=../../outside", r"experiment=\.\./\.\./outside does not exist"),
        ("+experiment=../../outside", r"\+experiment=\.\./\.\./outside does not exist"),
        ("model@model=../../outside", r"model@model=\.\./\.\./outside does not exist"),
        ("experiment/one=fit", "experiment/one=fit is not allowed; instead: experiment=one/fit"),
        ("+experiment/two/deep=fit", "instead: experiment=two/deep/fit"),
        (
            "experiment=7",
            "experiment=7 is no option of experiment: it must be one name, as text; allowed: least_squares",
        ),
        ("experiment=true", "it must be one name"),
        ("experiment=[one/fit,least_squares]", "it must be one name"),
        ("experiment=", "experiment= is no option of experiment"),
        ("+experiment=one/fit", r"\+experiment=one/fit is not allowed: .* without \+: experiment=one/fit"),
        ("++experiment=one/fit", r"\+\+experiment=one/fit is not allowed: .* without \+: experiment=one/fit"),
        ("+model=mlp", r"\+model=mlp is not allowed: model has an option, .* without \+: model=mlp"),
        ("experiment=two/old", r"experiment=two/old does not exist: two/old\.yml must be named two/old\.yaml"),
        ("=3", "=3 cannot be read; allowed: KEY=VALUE"),
        ("model=null", "model=null is no option of model; allowed: cnn, deep/mine"),
        ("executor=null", r"executor=null is no option of executor; did you mean 'auto'\? allowed: auto, inline, pool"),
    ],
)
def test_what_is_no_option_is_refused_by_the_nearest_name(
    nested: Project, plan: Plan, override: str, message: str
) -> None:
    (nested.root.parent / "outside.yaml").write_text(FIT)
    (nested.conf / "experiment" / "two" / "old.yml").write_text(FIT)
    for arguments in ([override], ["-m", override]):
        with pytest.raises(BadInput, match=message):
            plan(*arguments)


@pytest.mark.parametrize(
    "defaults", ['["../../outside"]', '["/../outside@_global_"]', "[{override /model: ../../outside}]"]
)
def test_a_file_outside_the_checked_folders_is_not_read(nested: Project, plan: Plan, defaults: str) -> None:
    (nested / "outside.yaml").write_text("# @package hydra\ncallbacks: {x: {_target_: os.system, command: echo}}\n")
    path = nested.conf / "experiment" / "one" / "evil.yaml"
    path.write_text(f"# @package _global_\nabout: {{question: Why}}\ndefaults: {defaults}\n")
    with pytest.raises(
        BadInput, match=r"one/evil\.yaml: .*outside.* in defaults is not allowed; instead: /GROUP/OPTION"
    ):
        plan("experiment=one/evil")


@pytest.mark.parametrize("name", ["a b", "a.b", "a=b", "é", "7", "a--b", "true", "chapter/-x"])
def test_an_odd_name_is_refused_wherever_it_is_composed(nested: Project, plan: Plan, name: str) -> None:
    path = nested.conf / "experiment" / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(FIT)
    with pytest.raises(BadInput, match="cannot name a run; allowed: letters a to z"):
        plan(f"experiment='{name}'")
    with pytest.raises(BadInput, match="cannot name a run; allowed: letters a to z"):
        plan("-m", "experiment=glob(*)")
    with pytest.raises(BadInput, match="cannot name a run; allowed: letters a to z"):
        plan_experiment(nested.conf, name)


def test_an_odd_name_hides_no_other_experiment(nested: Project) -> None:
    (nested.conf / "experiment" / "one--fit.yaml").write_text("# @package _global_\nabout: {question: Why}\n")
    (error,) = compose(nested.conf, nested.build)
    assert error.startswith("conf/experiment/one--fit.yaml: experiment=one--fit: 'one--fit' cannot name a run")
    assert json.loads((nested.build / "jobs" / "one--fit.json").read_text())["jobs"][0]["name"] == "one/fit"


def test_names_that_differ_by_case_are_two_experiments(nested: Project, plan: Plan) -> None:
    (nested.conf / "experiment" / "One").mkdir()
    (nested.conf / "experiment" / "One" / "fit.yaml").write_text(FIT.replace("Mine", "Twin"))
    jobs = plan("-m", "experiment=one/fit,One/fit")
    assert [job.frozen["about"]["question"] for job in jobs] == ["Mine?", "Twin?"]
