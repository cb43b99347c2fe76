"""The checks of `make gpu`, tried with a CPU in the GPU's place."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpu import checks, prepare, run
from gpu.checks import Case
from piecewise.jobs.job import Job
from piecewise.jobs.trainer import CHOICES
from piecewise.project import Project
from small_project import ROOT, write_images


@pytest.fixture
def job(project: Project) -> Path:
    """The file of a matrix job."""
    path = project / "shallow-momentum.json"
    prepare.matrix_job("shallow", "momentum").write(path)
    return path


def test_a_device_is_compared_with_the_cpu_in_float64(job: Path, tmp_path: Path) -> None:
    found, allowed, is_met, value = checks.steps(job, "cpu", "32-true", tmp_path / "right")
    assert is_met, (found, allowed)
    assert 0 < value < 1e-6  # float32 rounds, and no more than that


def test_a_device_that_computes_otherwise_is_found(job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = checks.with_trainer

    def wrong(job: Job, **options: object) -> Job:
        if options["precision"] == "64-true":
            return right(job, **options)
        changed = right(job, **options)
        changed.frozen["optimizer"]["lr"] *= 1.01
        return changed

    monkeypatch.setattr(checks, "with_trainer", wrong)
    assert checks.steps(job, "cpu", "32-true", tmp_path / "wrong")[2] is False


def test_each_precision_that_the_device_has_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlp-adam.json").touch()
    monkeypatch.setattr(checks, "steps", lambda path, device, precision, place: (precision, "", True, 0.0))
    found = {device: [case.found for case in checks.matrix(tmp_path, device, tmp_path)] for device in ("cuda", "cpu")}
    assert sorted(found["cuda"]) == sorted(CHOICES["precision"])
    assert set(found["cuda"]) - set(found["cpu"]) == {"16-mixed"}


def test_an_error_is_a_comparison_that_was_not_met() -> None:
    def fail() -> checks.Finding:
        raise RuntimeError("no kernel\nfor this")

    case = checks.guarded("steps", "x", fail)
    assert (case.found, case.is_met) == ("RuntimeError: no kernel for this", False)


def test_the_page_keeps_its_text_and_names_the_worst(tmp_path: Path) -> None:
    page = tmp_path / "gpu.md"
    page.write_text(f"# On a GPU\n\nwords\n\n{run.MARKER}\nNot run yet.\n", "utf-8")
    cases = [
        Case("steps", "cnn-adam 32-true", "weights 3e-3", "1e-2", True, 3e-3),
        Case("steps", "mlp-adam 32-true", "weights 1e-3", "1e-2", True, 1e-3),
        Case("ranks", "2, gloo", "weights 1", "1e-4", False),
    ]
    run.write_page(page, run.report(cases, {"device": "a GPU"}, 61.0))
    lines = page.read_text("utf-8").splitlines()
    assert lines[:3] == ["# On a GPU", "", "words"]
    assert "2 of 3 comparisons were met, in 61 s." in lines
    assert "| device | a GPU |" in lines
    assert "| steps | adam 32-true | weights 3e-3, worst of 2: cnn-adam 32-true | 1e-2 | 2 of 2 |" in lines
    assert "| ranks | 2, gloo | weights 1 | 1e-4 | 0 of 1 |" in lines
    assert "Not run yet" not in page.read_text("utf-8")


def test_no_gpu_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["gpu.run", "--output", str(tmp_path / "page.md")])
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert run.main() == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "page.md").exists()


@pytest.mark.parametrize(("is_met", "status"), [(True, 0), (False, 1)])
def test_the_exit_code_says_whether_all_were_met(
    project: Project, monkeypatch: pytest.MonkeyPatch, is_met: bool, status: int
) -> None:
    """MNIST travels packed, and is unpacked where it is missing."""
    packed = project / prepare.FOLDER / "mnist" / "t10k-labels-idx1-ubyte.gz"
    packed.parent.mkdir(parents=True)
    packed.write_bytes(gzip.compress(b"labels"))
    monkeypatch.setattr("sys.argv", ["gpu.run", "--device", "cpu", "--output", "page.md"])
    monkeypatch.setattr(run, "all_checks", lambda *arguments: iter([Case("ranks", "2", "0", "1", is_met)]))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # as without Hydra: the job files must be there
    assert run.main() == status
    assert f"{int(is_met)} of 1 comparisons were met" in (project / "page.md").read_text("utf-8")
    assert (project / "data" / "mnist" / "t10k-labels-idx1-ubyte").read_bytes() == b"labels"


# Run the checks of one job with modules missing, as on a machine that has neither Hydra nor MLflow nor DVC.
LACKING = """
import sys
for name in ("hydra", "mlflow", "dvc"):
    sys.modules[name] = None
from pathlib import Path
from gpu import checks
from piecewise.jobs.job import read_job
if __name__ == "__main__":
    place = Path("checked")
    job = read_job(Path("long.json"))
    for case in (
        *(checks.guarded("steps", name, lambda name=name: checks.steps(Path(name), "cpu", "bf16-mixed", place / name))
          for name in sys.argv[1:]),
        checks.guarded("bits", "twice", lambda: checks.repeated(job, "cpu", place / "twice")),
        checks.guarded("bits", "killed", lambda: checks.killed(job, "cpu", place / "killed")),
        checks.guarded("bits", "pool", lambda: checks.pooled(job, "cpu", place / "pool")),
        checks.guarded("ranks", "2", lambda: checks.ranks(job, "cpu", place / "ranks", "gloo", 2)),
    ):
        print(case.check, case.name, case.found, case.is_met)
"""


@pytest.mark.slow
def test_each_check_runs_from_job_files_without_hydra_mlflow_and_dvc(project: Project) -> None:
    (project / "check.py").write_text(LACKING)
    write_images(project / prepare.FOLDER / "images")
    prepare.plan(*prepare.LONG).write(project / "long.json")
    names = [("cnn", "momentum"), ("resnet", "adam"), ("linear", "momentum")]
    for model, optimizer in names:
        prepare.matrix_job(model, optimizer).write(project / f"{model}-{optimizer}.json")
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "check.py", *(f"{model}-{optimizer}.json" for model, optimizer in names)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=600)
    lines = done.stdout.splitlines()
    assert len(lines) == 7, done.stderr[-2000:]
    assert [line for line in lines if not line.endswith("True")] == []
    assert any("2 kills, 1 digest" in line for line in lines)


@pytest.mark.slow
def test_every_job_is_frozen_and_an_experiment_is_judged_by_its_own_bound(project: Project) -> None:
    folder = project / prepare.FOLDER
    prepare.write_jobs(folder)
    assert len(list((folder / "jobs" / "matrix").glob("*.json"))) == len(prepare.MODELS) * len(prepare.OPTIMIZERS)
    names = {path.stem.rpartition("-")[0] for path in (folder / "jobs" / "experiments").glob("*.json")}
    assert names == {path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml")}
    for path in (folder / "jobs" / "experiments").glob("*.json"):
        if path.stem != "least_squares-0" and "mnist_" not in path.stem:
            path.unlink()
    found = {case.name: case for case in checks.experiments(folder / "jobs" / "experiments", "cpu", project / "runs")}
    assert found["mnist_cnn-0"].found == "not run: data/mnist is missing"
    assert (found["least_squares-0"].is_met, found["least_squares-0"].allowed) == (True, "≤ 1e-06")
    content = json.loads((folder / "jobs" / "experiments" / "least_squares-0.json").read_text("utf-8"))
    assert content["config"]["about"]["expected"][0]["at_most"] == 1e-6
