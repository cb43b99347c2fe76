"""Hydra's flags: those that print do, every other one is refused with what to use instead."""

from __future__ import annotations

import pytest

from piecewise.errors import BadInput
from piecewise.jobs.job import Job
from piecewise.planning.plan import plan_command_line
from small_project import ROOT


def plan(*arguments: str) -> list[Job]:
    return plan_command_line(ROOT / "conf", list(arguments))


@pytest.mark.parametrize("arguments", [["seed=0,1", "-m"], ["-m", "seed=0,1"], ["trainer=cpu", "-m", "seed=0,1"]])
def test_flags_may_stand_anywhere(arguments: list[str]) -> None:
    assert [job.frozen["seed"] for job in plan(*arguments)] == [0, 1]


@pytest.mark.parametrize("flag", ["-r", "--run"])
def test_run_is_the_default(flag: str) -> None:
    assert plan(flag, "seed=3") == plan("seed=3")


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["seed=0", "--cfg", "job"], "early_stopping:\n"),
        (["--cfg", "job", "seed=0"], "early_stopping:\n"),
        (["-c", "all", "-p", "seed", "seed=5"], "5\n"),
        (["--cfg=job", "--package=optimizer", "--resolve"], "lr: "),
        (["--info", "searchpath"], "Config search path"),
        (["-i"], "Installed Hydra Plugins"),
    ],
)
def test_flags_that_print_plan_no_jobs(capsys: pytest.CaptureFixture[str], arguments: list[str], printed: str) -> None:
    assert plan(*arguments) == []
    assert printed in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flag", "printed"),
    [("--help", "== Configuration"), ("-h", "GROUP=OPTION"), ("--hydra-help", "--multirun"), ("-mh", "GROUP=OPTION")],
)
def test_help_is_printed(capsys: pytest.CaptureFixture[str], flag: str, printed: str) -> None:
    with pytest.raises(SystemExit, match="0"):
        plan(flag)
    assert printed in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-cd", "more"], "-cd is not allowed; instead: name a folder of the project in hydra.searchpath"),
        (["--config-dir=/tmp"], "--config-dir=/tmp is not allowed; instead: name a folder"),
        (["-cp", "conf"], "-cp is not allowed; instead: .*run piecewise inside the project"),
        (["--config-path=conf"], "instead: .*run piecewise inside the project"),
        (["-cn", "other"], "-cn is not allowed; instead: .*experiment=NAME"),
        (["--config-name", "other"], "--config-name is not allowed; instead: .*experiment=NAME"),
        (["--experimental-rerun=x.pickle"], "--experimental-rerun=x.pickle is not allowed; instead: piecewise resume"),
        (["-m", "-sc", "install=bash"], "instead: piecewise -sc install=SHELL"),
        (["--shell-completion"], "instead: piecewise -sc install=SHELL"),
        (["--dryrun"], r"--dryrun is no option; did you mean '--dry-run'\?"),
        (["--multirrun"], r"--multirrun is no option; did you mean '--multirun'\?"),
        (["-x", "seed=3"], "-x is no option; allowed: --cfg"),
        (["-m=3"], "ignored explicit argument '3'"),
        (["-m", "-r"], "--run and --multirun do not go together"),
        (["-m", "--cfg", "job"], "--multirun and --cfg=job do not go together"),
        (["-r", "--info"], "--run and --info=all do not go together"),
        (["--seed=3"], "--seed=3 is no option; a KEY=VALUE has no hyphens before it: seed=3"),
        (["--cfg"], "--cfg: expected one argument; .*--hydra-help"),
        (["--cfg", "jobs"], "invalid choice: 'jobs'"),
        (["--info", "seed=3"], "invalid choice: 'seed=3'"),
        (["--package=model"], "--package needs a configuration to print; allowed: with --cfg job"),
        (["--resolve", "seed=3"], "--resolve needs a configuration"),
        (["--cfg", "job", "-p", "modle"], "package 'modle' not found"),
        (["--cfg", "job", "sed=3"], r"sed=3 is no option; did you mean 'seed'\?"),
    ],
)
def test_other_flags_are_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message) as refused:
        plan(*arguments)
    assert "\n" not in str(refused.value)
