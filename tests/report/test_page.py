"""The report that is written from the results of `dvc repro`."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from safetensors.torch import load_file

from piecewise.data.stored import digest_tensors
from piecewise.errors import PiecewiseError
from piecewise.jobs.job import Job
from piecewise.planning.plan import plan_command_line
from piecewise.project import Project
from piecewise.report.page import _owner, write_report
from piecewise.report.results import collect, text_table
from small_project import TINY, evaluate_experiment, new_project

INDEX = "report/index.html"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which one experiment of four jobs has been trained and evaluated; tests must not change it."""
    root = new_project(tmp_path_factory.mktemp("report") / "a project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        evaluate_experiment(root, plan_command_line(root / "conf", ["-m", *TINY, "model.width=20,3", "seed=0,1"]))
        write_report(Project(root))
    return root


@pytest.fixture
def root(evaluated: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(evaluated)
    return evaluated


class Page(HTMLParser):
    """Every element with its attributes, and all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_shows_every_fact_and_loads_nothing(root: Path) -> None:
    text = (root / INDEX).read_text()
    page = Page(text)
    for said in ("Does <it> fit?", "✓ as expected", "✗ NOT as expected", "≤ 100", "piecewise train experiment=fit"):
        assert said in page.text
    for fact in ("job digest", "run key", "data digest", "lock digest", "numerics", "abcdef012345 with changes"):
        assert fact in page.text
    assert "piecewise ui model.width=3,seed=0" in page.text
    assert """piecewise train model.width=3 seed=0 'data.folder='"'"'<a>'"'"''""" in page.text
    digests = [
        digest_tensors(load_file(path))[:12] for path in (root / "results/train/fit").glob("*/model.safetensors")
    ]
    assert sorted(re.findall(r"weights digest(\w{12})weights kept", page.text)) == sorted(digests)
    assert page.text.index("model.width=3") < page.text.index("model.width=20")
    for _, attributes in page.elements:
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    assert not [tag for tag, _ in page.elements if tag in ("script", "link", "iframe", "img")]
    assert not re.search(r"url\((?!#)", text)
    figures = [attributes for tag, attributes in page.elements if tag == "svg"]
    assert len(figures) == 6  # one comparison, two fits, two learning curves, one sum of units
    assert all(attributes["role"] == "img" and len(attributes["aria-label"] or "") > 15 for attributes in figures)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    anchors = {attributes["href"] for tag, attributes in page.elements if tag == "a"}
    assert anchors == {"#fit", "#never_run"}


def test_the_same_results_give_the_same_bytes(root: Path) -> None:
    first = (root / INDEX).read_bytes()
    assert write_report(Project(root)).read_bytes() == first
    assert len(first) < 5_000_000


def test_numbers_equal_the_recorded_metrics(root: Path) -> None:
    result, waiting = collect(Project(root))
    assert [row.judgement for row in waiting.rows] == ["undecided: no results yet"] * 2
    assert [group.label for group in result.groups] == ["model.width=3", "model.width=20"]
    paths = sorted((root / "results/evaluate/fit").glob("*=3,*/metrics.json"))
    metrics = [json.loads(path.read_text()) for path in paths]
    row = result.rows[0]
    assert row.values == [found["test/squared_error"] for found in metrics]
    assert f"{min(row.values):.5g} to {max(row.values):.5g}2" in Page((root / INDEX).read_text()).text
    assert [(row.metric, row.bound) for row in result.numbers[2:]] == [("test/nll", ""), ("test/nll_floor", "")] * 2
    assert "NOT as expected" in text_table([result])


def test_a_broken_figure_is_named_on_the_page_and_loses_nothing_else(
    evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run's arrays are damaged, and the comparison of the runs cannot be drawn."""

    def fail(*arguments: object) -> None:
        raise IndexError("no such axis")

    root = tmp_path / "copy"
    shutil.copytree(evaluated, root)
    monkeypatch.chdir(root)
    (root / "results/evaluate/fit/model.width=3,seed=0/arrays.safetensors").write_bytes(b"damaged")
    monkeypatch.setattr("piecewise.analysis.compare.metric_over_axis", fail)
    page = Page(write_report(Project(root)).read_text())
    assert "metric_over_axis is left out: IndexError: no such axis" in page.text
    assert "fit model.width=3,seed=0: every figure of the model is left out: SafetensorError" in page.text
    labels = [attributes["aria-label"] or "" for tag, attributes in page.elements if tag == "svg"]
    assert len(labels) == 3  # two learning curves and the fit of the other width
    assert page.text.count("weights digest") == 4


def test_a_report_without_a_composed_experiment_is_refused(project: Project) -> None:
    with pytest.raises(PiecewiseError, match=r"about\.json lists no experiments; dvc repro makes it"):
        write_report(project)
    assert not project.report.exists()


def test_figures_of_different_jobs_have_different_ids() -> None:
    values = ("-1", "+1", "_1", ".1", "é", "e\u0301", "[1]", "(1)")
    owners = {_owner(Job("fit", (f"data.slope={value}",), {})) for value in values}
    assert len({re.sub(r"\W", "-", owner) for owner in owners}) == len(values)
