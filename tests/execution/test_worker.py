"""The worker runs one job from its file; any number of ranks trains and measures the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from safetensors.torch import load_file

from piecewise import worker
from piecewise.cli import guarded
from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder, all_runs, read_result
from piecewise.project import Project
from piecewise.tracking.store.addresses import EMBEDDED
from piecewise.tracking.sync.sync_runs import sync

Plan = Callable[..., list[Job]]


# Run `python -m piecewise.worker`, then print which of Hydra and MLflow it has imported.
WORKER = """
import runpy, sys
sys.argv = ["worker", *sys.argv[1:]]
try:
    runpy.run_module("piecewise.worker", run_name="__main__", alter_sys=True)
finally:
    print(sorted({"hydra", "mlflow"} & set(sys.modules)))
"""


def run_worker(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WORKER, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.filterwarnings("ignore")  # warnings inside MLflow and torch.export
@pytest.mark.slow
def test_worker_runs_a_job_from_its_file(tiny_job: Job, project: Project) -> None:
    tiny_job.write(project / "job.json")
    done = run_worker("job.json")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "[]"), done.stderr
    (place,) = (project / "runs").iterdir()
    assert read_result(RunFolder.at(place))["status"] == "FINISHED"
    assert all_runs(project) == [RunFolder.at(place)]
    assert len(sync(EMBEDDED, all_runs(project)).updated) == 1


@pytest.mark.parametrize(("arguments", "message"), [([], "usage"), (["nowhere.json"], "nowhere.json does not exist")])
def test_worker_refuses_a_file_without_a_job(
    project: Project, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded(worker.main, *arguments) == 2
    assert message in capsys.readouterr().err
    assert not (project / "runs").exists()


@pytest.mark.slow
def test_two_ranks_make_one_run_with_the_weights_of_one_process(plan: Plan, project: Project) -> None:
    # SGD shows a wrong scale of the gradient, which Adam hides. The last batch of an epoch has 40 examples.
    options = ["trainer.max_epochs=15", "optimizer=sgd", "model.width=20", "tracking=none"]
    (job,) = plan("trainer=ddp_cpu", *options)
    folder = RunFolder.at(project / "runs" / "one")
    train(job, folder)
    record = read_journal(folder.journal)
    assert record is not None
    losses = [nll for _, nll in record.history()["train/nll"]]
    assert read_result(folder)["numerics"]["world_size"] == 2
    assert read_result(folder)["steps"] == 15 * 6  # 360 examples in global batches of 64, as with one process
    assert len(losses) == 3  # after steps 1, 50 and 90
    assert losses[-1] < losses[0]
    alone = RunFolder.at(project / "alone")
    train(plan(*options)[0], alone)
    for name, weights in load_file(alone.weights).items():
        torch.testing.assert_close(load_file(folder.weights)[name], weights, rtol=1e-4, atol=1e-5)
    assert [path.name for path in (project / "runs").iterdir()] == ["one"]


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "tolerance"), [("64-true", 1e-10), ("32-true", 1e-5)])
def test_any_number_of_ranks_trains_the_same(plan: Plan, project: Project, precision: str, tolerance: float) -> None:
    """300 steps with dropout and momentum. In longer float32 trainings rounding errors grow without limit."""
    options = ["trainer.max_epochs=50", "batch_size=60", "model=mlp", "model.width=20", "model.dropout=0.2"]
    options += ["optimizer=momentum", "optimizer.lr=0.01", "select=last", f"trainer.precision={precision}"]
    found = []
    for count in (1, 2, 3):
        folder = RunFolder.at(project / str(count))
        (job,) = plan("trainer=ddp_cpu", f"trainer.devices={count}", *options, "tracking=none")
        train(job, folder)
        result = read_result(folder)
        assert (result["numerics"]["world_size"], result["steps"]) == (count, 300)
        found.append(torch.cat([weights.flatten().double() for weights in load_file(folder.weights).values()]))
    for other in found[1:]:
        distance = float((other - found[0]).norm() / found[0].norm())
        print(f"{precision}: {distance:.2g}")
        assert distance <= tolerance


@pytest.mark.slow
def test_any_number_of_ranks_gives_the_same_validation_metrics(plan: Plan, project: Project) -> None:
    """3,007 validation examples in four chunks, of which three are used. The learning rate is too small to matter."""
    options = ["data.num_train=30070", "trainer.max_epochs=1", "batch_size=6000", "optimizer=sgd", "optimizer.lr=1e-30"]
    options.append("trainer.limit_val_batches=3")
    found = []
    for count in (1, 2, 3):
        folder = RunFolder.at(project / str(count))
        train(plan("trainer=ddp_cpu", f"trainer.devices={count}", *options, "tracking=none")[0], folder)
        record = read_journal(folder.journal)
        assert record is not None
        history = record.history()
        found.append([history["val/nll"], history["val/squared_error"], read_result(folder)["weights_digest"]])
    assert found[0] == found[1] == found[2]
    assert read_result(RunFolder.at(project / "1"))["num_val"] == 3007
