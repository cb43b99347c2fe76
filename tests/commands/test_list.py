from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from piecewise.cli import main
from piecewise.project import Project

ROOT = Path(__file__).parents[2]


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["list", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_every_experiment_is_listed_with_question_and_expectations(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(capsys)
    assert printed(capsys, "experiment") == lines
    wanted = []
    for path in sorted((project / "conf" / "experiment").iterdir()):
        about = yaml.safe_load(path.read_text())["about"]
        wanted += [(path.stem, about["question"]), *(("", item["metric"]) for item in about["expected"])]
    assert [
        (line[:23].strip(), line[23:][: len(text)]) for line, (_, text) in zip(lines, wanted, strict=True)
    ] == wanted
    assert "                       test/accuracy ≥ 0.992" in lines
    assert "                       test/squared_error ≤ 0.03 when model.width=20" in lines


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("about: {question: [}\n", "conf/experiment/broken.yaml: line 1: "),
        ("seed: 1\n", "about.question is missing"),
        ("- seed\n", "about.question is missing"),
        ("about: {question: Why, expected: 3}\n", "about.expected=3 must be a list"),
        ("about: {question: Why, expected: [{at_least: 3}]}\n", "names no metric"),
        (
            "about: {question: Why, expected: [{metric: m, at_lest: 3}]}\n",
            "at_lest=3 is no option; did you mean 'at_least'?",
        ),
        ("about: {question: Why, expected: [{metric: m}]}\n", "expected of m needs a finite number"),
        ("about: {question: Why, expected: [{metric: m, at_most: 1, at_least: 2}]}\n", "at_least=2 is above at_most=1"),
        ("about: {question: Why, expected: [{metric: m, at_most: low}]}\n", "expected of m needs a finite number"),
        ("about: {question: Why, expected: [{metric: m, at_most: 1, when: 3}]}\n", "when=3 must be keys"),
        ("about: {question: Why, expected: [{metric: m, at_most: .inf}]}\n", "expected of m needs a finite number"),
        ("about: {question: Why, expected: [{metric: '', at_most: 1}]}\n", "names no metric"),
        ("about: {question: [a, b]}\n", "about.question=['a', 'b'] must be text"),
        ("about: \xff", "can't decode"),
        (None, "Is a directory"),
    ],
)
def test_broken_experiment_is_reported_beside_the_others(
    project: Project, capsys: pytest.CaptureFixture[str], content: str | None, fault: str
) -> None:
    before = printed(capsys)
    path = project / "conf" / "experiment" / "broken.yaml"
    path.mkdir() if content is None else path.write_bytes(content.encode("latin-1"))
    lines = printed(capsys)
    (line,) = set(lines) - set(before)
    assert [other for other in lines if other != line] == before
    assert line.startswith("broken                 cannot be used: ")
    assert fault in line
    assert "conf/experiment/broken.yaml" in line


def test_experiments_of_a_sub_folder_are_listed(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("chapter/fit", "chapter/a b"):
        path = project / "conf" / "experiment" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text("about: {question: Why}\n")
    wrong, right = printed(capsys, "experiment/chapter")
    assert right == "chapter/fit  Why"
    assert wrong.startswith("chapter/a b  cannot be used: ")
    assert "allowed: letters a to z" in wrong
    assert "chapter/fit            Why" in printed(capsys)


def test_a_question_of_two_lines_is_shown_on_one(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "conf" / "experiment" / "long.yaml").write_text("about:\n  question: |\n    Why\n    now?\n")
    assert "long                   Why now?" in printed(capsys)


def test_lower_and_upper_bound_are_both_shown(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    about = "about: {question: Why, expected: [{metric: m, at_least: 1, at_most: 2.5, when: {seed: 3, model: mlp}}]}"
    (project / "conf" / "experiment" / "both.yaml").write_text(about)
    assert f"{'':23}m ≥ 1 and ≤ 2.5 when seed=3, model=mlp" in printed(capsys)


@pytest.mark.parametrize("group", ["data", "loss", "model", "optimizer", "scheduler", "tracking", "trainer"])
def test_group_has_a_line_for_each_option(project: Project, capsys: pytest.CaptureFixture[str], group: str) -> None:
    found = dict(line.split(maxsplit=1) for line in printed(capsys, group))
    assert found.keys() == {path.stem for path in (project / "conf" / group).iterdir()}
    for option, text in found.items():
        assert f"\n# {text}\n" in f"\n{(project / 'conf' / group / f'{option}.yaml').read_text()}"
        assert not text.startswith("@")


def test_option_without_a_comment_is_listed(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "conf" / "model" / "silent.yaml").write_text("# @package model\n\nwidth: 3\n# of the hidden layer\n")
    assert "silent" in printed(capsys, "model")


def test_unknown_group_is_refused_with_the_nearest_name(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "modle"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: there is no group 'modle'; did you mean 'model'?")
    assert main(["list", "model", "cnn"]) == 2
    assert "unrecognized arguments: cnn" in capsys.readouterr().err


def test_list_imports_no_heavy_package() -> None:
    code = (
        "import sys; from piecewise.cli import main; main(['list']); main(['list', 'model']); main(['list', '--help']);"
        "print({'hydra', 'omegaconf', 'torch', 'numpy', 'mlflow', 'pytorch_lightning'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, cwd=ROOT
    )
    assert "usage: piecewise list" in done.stdout
    assert done.stdout.endswith("set()\n")
