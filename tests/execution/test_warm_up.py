"""The fork server's warm-up: a job that can train, and leaves nothing behind."""

from __future__ import annotations

import tempfile

import pytest
import torch

from piecewise.cli import main
from piecewise.errors import BadInput
from piecewise.execution import trial
from piecewise.execution.executors.pool import Pool
from piecewise.execution.executors.warm_up import CONFIG, warm_up
from piecewise.jobs.build import build_parts
from piecewise.jobs.config import JobConfig
from piecewise.project import Project
from small_project import TINY


def test_the_job_of_the_warm_up_can_train() -> None:
    assert trial._refusal(build_parts(JobConfig.parse(CONFIG), device="meta")) is None


def test_a_warm_up_changes_neither_random_numbers_nor_threads() -> None:
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    warm_up()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """No fork server can start in this test."""

    def fail() -> None:
        raise OSError("AF_UNIX path too long")

    monkeypatch.setattr("multiprocessing.forkserver.ensure_running", fail)


def test_a_pool_without_a_server_starts_nothing_and_says_why(
    no_server: None, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "-m", *TINY, "seed=0,1"]
    assert main(words) == 2
    place = f"executor=pool: its server of processes cannot start in {tempfile.gettempdir()}"
    assert f"{place}: AF_UNIX path too long; allowed: a TMPDIR that is writable" in capsys.readouterr().err
    assert list(project.runs.glob("*/0*")) == []
    assert main([*words, "executor=inline"]) == 0  # it goes on with the sweep
    assert len(list(project.runs.glob("*/0*"))) == 2


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["modell=4"], 2, "error: modell=4 is no option; did you mean 'model'?"),
        (["--cfg", "job"], 2, "--multirun and --cfg=job do not go together"),
        ([*TINY, "seed=0"], 0, "test/nll"),
        ([*TINY, "seed=0,1", "--dry-run"], 0, "2 jobs"),
        ([*TINY, "experiment=inline", "model.width=3", "seed=0,1"], 0, "2 of 2 finished"),
    ],
)
def test_what_needs_no_pool_needs_no_server(
    no_server: None,
    project: Project,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    message: str,
) -> None:
    folder = project.conf / "experiment"
    text = (folder / "shallow_regression.yaml").read_text()
    (folder / "inline.yaml").write_text(text.replace("defaults:\n", "defaults:\n  - override /executor: inline\n"))
    assert main(["train", "-m", *words]) == code
    printed = capsys.readouterr()
    assert message in printed.out + printed.err
    assert "AF_UNIX" not in printed.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slots": 0}, r"executor.slots=0 must be auto, or a number from 1 to 1000"),
        ({"gpu_fraction": 1.5}, r"executor.gpu_fraction=1.5 must be above 0 and at most 1"),
        ({"timeout": 0}, r"executor.timeout=0 must be a number of seconds above 0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Pool(**options)  # type: ignore[arg-type]
