"""Resuming after a change: changed data are refused; a changed source or lock is warned of and recorded."""

from __future__ import annotations

import errno
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from piecewise import source
from piecewise.cli import main
from piecewise.durable import write_json
from piecewise.errors import BadInput
from piecewise.execution import train as training
from piecewise.execution.resume import with_options
from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder
from piecewise.planning.check import check
from piecewise.project import Project
from piecewise.tracking.mirror.run_contents import evaluation_of
from piecewise.tracking.store.addresses import EMBEDDED
from piecewise.tracking.store.open import open_store
from piecewise.tracking.sync.sync_runs import sync
from small_project import TINY

Plan = Callable[..., list[Job]]
Capture = pytest.CaptureFixture[str]
BRIEF = ["trainer.max_epochs=1", "model.width=3", "tracking=none"]


def write_csv(project: Project) -> list[str]:
    """Write a table of 20 rows; return the options that train on it."""
    rows = [f"{number / 10},{number % 7}.5" for number in range(20)]
    (project / "table.csv").write_text("\n".join(["x,y", *rows, ""]))
    return ["data=csv", "data.path=table.csv", "data.target=y", "batch_size=4"]


def write_idx(project: Project) -> list[str]:
    """Write images of 2 × 2 pixels under MNIST's file names; return the options that train on them."""
    folder = project / "images"
    folder.mkdir()
    for part in ("train", "t10k"):
        pixels = bytes(range(20 * 4))
        (folder / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, 20, 2, 2) + pixels)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, 20) + bytes([0, 1] * 10))
    return ["data=idx", "data.path=images", "loss=categorical", "batch_size=4"]


@pytest.mark.parametrize("is_written", [False, True])
def test_a_run_killed_at_its_result_file_resumes_to_finished(
    project: Project, plan: Plan, monkeypatch: pytest.MonkeyPatch, is_written: bool
) -> None:
    """The journal's end and the result file agree, whether the process is killed before or after writing the file."""

    def cut_off(path: Path, value: object) -> None:
        if is_written:
            write_json(path, value)
        raise KeyboardInterrupt

    (job,) = plan(*BRIEF)
    folder = RunFolder.at(project / "runs" / "one")
    with monkeypatch.context() as patched:
        patched.setattr(training, "write_json", cut_off)
        with pytest.raises(KeyboardInterrupt):
            train(job, folder, {"id": "one"})
    assert main(["resume", "one"]) == 0
    record = read_journal(folder.journal)
    assert record is not None
    assert record.end is not None
    assert record.end.status == "FINISHED"
    assert evaluation_of(record, folder) is not None
    assert len(record.resumed) == (0 if is_written else 1)


def test_a_run_whose_result_cannot_be_written_has_failed(
    project: Project, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, value: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder = RunFolder.at(project / "runs" / "one")
    monkeypatch.setattr(training, "write_json", full)
    with pytest.raises(OSError, match="No space left"):
        train(plan(*BRIEF)[0], folder)
    record = read_journal(folder.journal)
    assert record is not None
    assert record.end is not None
    assert (record.end.status, record.end.reason[:7]) == ("FAILED", "OSError")


@pytest.mark.parametrize(
    ("write", "file", "named"),
    [
        (write_csv, "table.csv", r"csv \(table\.csv\)"),
        (write_idx, "images/train-labels-idx1-ubyte", r"idx \(images\)"),
    ],
    ids=["csv", "idx"],
)
def test_a_run_does_not_continue_with_changed_data(
    project: Project, plan: Plan, write: Callable[[Path], list[str]], file: str, named: str
) -> None:
    (job,) = plan(*write(project), *BRIEF)
    folder, path = RunFolder.at(project / "runs" / "one"), project / file
    train(job, folder)
    folder.result.unlink()
    before, whole = folder.journal.read_bytes(), path.read_bytes()
    path.write_bytes(whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:])
    with pytest.raises(
        BadInput, match=rf"the data has changed: {named} has the digest \w{{64}}, the run has \w{{64}}$"
    ):
        train(job, folder, is_resumed=True)
    assert folder.journal.read_bytes() == before
    path.write_bytes(whole)
    train(job, folder, is_resumed=True)
    assert folder.result.is_file()


@pytest.fixture
def begun(project: Project) -> RunFolder:
    """A run that has not finished."""
    assert main(["train", *TINY, "evaluate=false"]) == 0
    (place,) = (project / "runs").glob("2*")
    folder = RunFolder.at(place)
    folder.result.unlink()
    return folder


def change_lock(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = project / "requirements.lock"
    lock.write_text(lock.read_text() + "another==1.0\n")


def change_source(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    package = project / "package"
    shutil.copytree(source.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    model = package / "models" / "shallow.py"
    model.write_text(model.read_text() + "\nCHANGED = True\n")
    monkeypatch.setattr(source, "PACKAGE", package)


@pytest.mark.filterwarnings("ignore")  # warnings inside MLflow and torch.export
@pytest.mark.parametrize(
    ("change", "part", "what"),
    [(change_lock, "lock", "the environment's lock"), (change_source, "source", "the source that trains")],
    ids=["lock", "source"],
)
@pytest.mark.usefixtures("empty_store")
def test_a_changed_source_or_lock_is_warned_of_and_tagged_or_refused_with_strict(
    begun: RunFolder,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
    change: Callable[[Path, pytest.MonkeyPatch], None],
    part: str,
    what: str,
) -> None:
    change(project, monkeypatch)
    before = begun.journal.read_bytes()
    assert main(["resume", "last", "--strict"]) == 2
    assert f"{what} has changed since the run began: its digest is" in capsys.readouterr().err
    assert begun.journal.read_bytes() == before
    assert main(["resume", "last"]) == 0
    assert f"{what} has changed since the run began: its weights may differ" in capsys.readouterr().err
    record = read_journal(begun.journal)
    assert record is not None
    assert [leg.changed for leg in record.resumed] == [[part]]
    sync(EMBEDDED, [begun])
    client = open_store(EMBEDDED, project)
    (run,) = client.search_runs([found.experiment_id for found in client.search_experiments()])
    assert run.data.tags["resume.changed"] == part


def test_a_run_in_16_mixed_does_not_continue_on_a_cpu(plan: Plan) -> None:
    (job,) = plan("trainer.precision=16-mixed", "trainer.accelerator=gpu")
    moved = with_options(job, ["trainer.accelerator=cpu", "trainer.devices=1"])
    with pytest.raises(BadInput, match=r"trainer\.precision=16-mixed: a CPU has none"):
        check(moved.config)


def test_a_run_keeps_its_precision(plan: Plan) -> None:
    with pytest.raises(
        BadInput, match=r"'trainer\.precision=64-true' cannot be changed when a run continues; .*allowed: "
    ):
        with_options(plan(*TINY)[0], ["trainer.precision=64-true"])
