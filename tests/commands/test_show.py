from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable

import pytest
import yaml

from piecewise.cli import main
from piecewise.commands.show import one_line_yaml
from piecewise.jobs.job import Job
from piecewise.project import Project

Plan = Callable[..., list[Job]]


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["show", *arguments]) == 0
    return capsys.readouterr().out


def test_show_prints_the_job_that_train_runs(project: Project, plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    typed = [
        "experiment=mnist_cnn",
        "optimizer=adamw",
        "optimizer.lr=3e-3",
        "trainer=gpu",
        "+optimizer.betas=[0.8,0.9]",
        "about.source='a book'",
    ]
    (job,) = plan(*typed)
    out = printed(capsys, *typed)
    assert yaml.safe_load(out) == json.loads(json.dumps(job.frozen))
    assert list(yaml.safe_load(out)) == list(job.frozen)
    assert f"# digest     {job.digest}\n" in out
    assert "# -m sweeps  seed=0,1,2\n" in out
    words = shlex.split(re.findall(r"# runs with +(.*)", out)[0])
    assert words == ["piecewise", "train", *typed]
    origins = dict(re.findall(r"^  (\w+): .*  # (.*)$", out, re.MULTILINE))
    assert origins["betas"] == "command line"
    assert origins["accelerator"] == "conf/trainer/gpu.yaml"
    assert origins["devices"] == "conf/trainer/default.yaml"
    assert origins["max_lr"] == "${optimizer.lr} (conf/scheduler/onecycle.yaml)"
    assert "\nseed: 0 " in out
    assert "\n  expected: [{metric: test/accuracy, at_least: 0.992}] " in out
    assert all("  # " in line or line.endswith(":") for line in out.partition("\n\n")[0].splitlines())


def test_origins_are_aligned_except_after_a_long_value(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line for line in printed(capsys, "experiment=mnist_cnn").splitlines() if "  # " in line]
    columns = [line.index("  # ") for line in lines]
    assert columns[0] > 100  # the question
    assert len(set(columns[1:])) == 1
    assert columns[1] <= 60


def test_changed_file_is_read_again(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    before = printed(capsys)
    assert "# -m sweeps" not in before
    assert re.search(r"^scheduler: \{\} +# conf/scheduler/none.yaml$", before, re.MULTILINE)
    path = project / "conf" / "model" / "shallow.yaml"
    path.write_text(path.read_text().replace("width: 3", "width: 7"))
    assert re.search(r"^  width: 7 +# conf/model/shallow.yaml$", printed(capsys), re.MULTILINE)


@pytest.mark.parametrize("typed", ["model.wdth=3", "model.width=0", "model.width=3,4"])
def test_show_reports_errors_as_train_does(project: Project, capsys: pytest.CaptureFixture[str], typed: str) -> None:
    ends = [(main([verb, typed]), capsys.readouterr()) for verb in ("train", "show")]
    assert ends[0] == ends[1]
    assert ends[1][0] == 2
    assert ends[1][1].out == ""


@pytest.mark.parametrize("typed", [["-m", "seed=0,1"], ["seed=0,1", "--multirun"]])
def test_sweep_is_refused(project: Project, capsys: pytest.CaptureFixture[str], typed: list[str]) -> None:
    assert main(["show", *typed]) == 2
    assert "shows one job: leave out -m" in capsys.readouterr().err


def test_colours_on_a_terminal_change_no_text(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = printed(capsys)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    coloured = printed(capsys)
    assert re.search(
        r"^  width: \x1b\[36m3\x1b\[0m +\x1b\[2m# conf/model/shallow.yaml\x1b\[0m$", coloured, re.MULTILINE
    )
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain


TEXTS = [
    "a # b",
    "a: b",
    "yes",
    "",
    " ",
    "1e3",
    "a\nb",
    "a\n",
    "a\tb",
    "'",
    '"',
    "Größe — 0.5 %",
    "...",
    "---",
    "x" * 500,
]
NUMBERS = [None, True, 0, -1.5, 1e-5, 3.0]
LISTS = [[], {}, ["a\nb"], [1, [2, "a, b"]], [{"metric": "m", "when": {"model.width": 3}}]]


@pytest.mark.parametrize("value", [*TEXTS, *NUMBERS, *LISTS])
def test_value_is_yaml_on_one_line(value: object) -> None:
    line = f"key: {one_line_yaml(value)}  # conf/x.yaml"
    assert "\n" not in line
    assert yaml.safe_load(line) == {"key": value}
