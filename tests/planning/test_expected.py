"""What an experiment expects is checked against its jobs when it is composed."""

from __future__ import annotations

import json

import pytest

from piecewise.errors import BadInput
from piecewise.jobs.expectations import Expectation
from piecewise.planning.compose import compose
from piecewise.planning.expected import check_expectations
from piecewise.planning.plan import plan_experiment
from piecewise.project import Project

EXPERIMENT = """\
# @package _global_
about: {{question: "Does it fit?", expected: [{expected}]}}
hydra: {{sweeper: {{params: {{model.width: "3,20"}}}}}}
"""


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ("{metric: test/squarederror, at_most: 1}", "metric=test/squarederror; did you mean 'test/squared_error'?"),
        ("{metric: test/accuracy, at_least: 1}", "allowed: test/nll, test/nll_floor, test/squared_error"),
        ("{metric: distance_to_closed_form, at_most: 1}", "metric=distance_to_closed_form; allowed: test/nll"),
        (
            "{metric: test/nll, at_most: 1, when: {model.wid: 3}}",
            "model.wid, which no job has; did you mean 'model.width'?",
        ),
        ("{metric: test/nll, at_most: 1, when: {model: shallow}}", "when has model, which no job has"),
        ("{metric: test/nll, at_most: 1, when: {model.width: 4}}", "no job has model.width=4; model.width is 3 or 20"),
        ("{metric: test/nll, at_most: 1, when: {model.width: '3'}}", "no job has model.width=3"),
    ],
)
def test_what_no_job_can_decide_is_refused_and_shown(project: Project, expected: str, message: str) -> None:
    conf = project / "conf"
    for path in (conf / "experiment").glob("*.yaml"):
        path.unlink()
    (conf / "experiment" / "fit.yaml").write_text(EXPERIMENT.format(expected=expected))
    (error,) = compose(conf, project / "build")
    assert message in error
    assert json.loads((project / "build/jobs/fit.json").read_text())["jobs"] == []
    about = json.loads((project / "build/about.json").read_text())["fit"]
    assert message in about["error"]
    assert about["question"] == "Does it fit?"
    assert "about." not in error.partition("allowed: ")[2]


def test_the_errors_of_compose_name_the_file_once(project: Project) -> None:
    for path in (project / "conf" / "experiment").glob("*.yaml"):
        path.unlink()
    (project / "conf" / "experiment" / "fit.yaml").write_text("about: {question: [}\n")
    (error,) = compose(project / "conf", project / "build")
    assert error.startswith("conf/experiment/fit.yaml: line 1: ")
    (project / "conf" / "experiment" / "fit.yaml").unlink()
    (project / "conf" / "data" / "line.yaml").write_bytes(b"# \xff\n")
    with pytest.raises(BadInput, match=r"^conf/data/line\.yaml: 'utf-8' codec"):
        compose(project / "conf", project / "build")


def test_values_in_a_condition_may_be_lists_and_null(project: Project) -> None:
    jobs = plan_experiment(project / "conf", "shallow_regression")
    when = {"early_stopping.patience": None, "model.width": 3}
    check_expectations([Expectation("test/nll", {"at_most": 1.0}, when)], jobs)
    with pytest.raises(BadInput, match=r"early_stopping\.patience is None"):
        check_expectations([Expectation("test/nll", {"at_most": 1.0}, when | {"early_stopping.patience": 3})], jobs)
