"""A project with every kind of file that `piecewise verify` hashes, and single bit flips in it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
import yaml

from piecewise.project import Project
from small_project import TINY, new_project

COVERED = ("build", "data", "results", "report", "runs", "mlartifacts", ".dvc/cache/files")
# The outs of the pipeline's stages.
OUTS = {
    "compose": ["build"],
    "synthesise@curve_1d": ["data/curve_1d"],
    "train@x": ["results/train/x", "results/journal/x"],
    "evaluate@x": ["results/evaluate/x", "results/metrics/x.json"],
    "report": ["report"],
}


@contextmanager
def whole_project(root: Path) -> Iterator[Path]:
    """Make a project at `root` with two runs, a pipeline's outs, DVC's cache and MLflow's artifacts, and work in it."""
    new_project(root)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of MLflow and torch.export
        patch.chdir(root)
        _train_and_push(root)
        _lay_out_pipeline(root)
        record_in_dvc(root, OUTS)
        warnings.simplefilter("error")
        yield root


def _train_and_push(root: Path) -> None:
    import mlflow

    from piecewise.journal.run_folder import RunFolder
    from piecewise.journal.writer import Journal
    from piecewise.manifest import write_manifest
    from piecewise.planning.plan import plan_command_line
    from piecewise.tracking.mirror.mirror import Mirror
    from piecewise.tracking.store.addresses import EMBEDDED
    from piecewise.tracking.store.open import open_store

    before = mlflow.get_tracking_uri()
    mirror = Mirror(open_store(EMBEDDED, Project(root)), Project(root))
    sweep = root / "runs" / "sweep"
    with Journal(sweep / "journal.jsonl") as journal:
        journal.start(id="sweep", name="curve_1d-shallow", title="sweep")
        journal.end("FINISHED")
    mirror.push(RunFolder.at(sweep))
    for seed, place in enumerate((root / "runs" / "solo", sweep / "0000")):
        (job,) = plan_command_line(root / "conf", [*TINY, "log_model=all", f"seed={seed}"])
        _run(job, place, {"id": place.name, "parent": None if seed == 0 else "sweep"})
        mirror.push(RunFolder.at(place), with_model=True)
        write_manifest(place)
    write_manifest(sweep)
    mlflow.set_tracking_uri(before)


def _run(job: object, place: Path, facts: dict[str, object]) -> None:
    from piecewise.analysis.draw import draw_run
    from piecewise.analysis.evaluate import evaluate_run
    from piecewise.execution.train import train
    from piecewise.journal.run_folder import RunFolder

    folder = RunFolder.at(place)
    train(job, folder, facts)  # type: ignore[arg-type]
    evaluate_run(folder)
    draw_run(folder)


def _lay_out_pipeline(root: Path) -> None:
    from piecewise.data.regression import Curve1d
    from piecewise.manifest import write_manifest

    solo = root / "runs" / "solo"
    shutil.copytree(solo / "training", root / "results" / "train" / "x" / "run")
    shutil.copytree(solo / "evaluation", root / "results" / "evaluate" / "x" / "run")
    shutil.copytree(solo / "figures", root / "report" / "figures" / "x" / "run")
    for target in ("results/metrics/x.json", "results/journal/x/run.jsonl", "build/jobs/x.json"):
        (root / target).parent.mkdir(parents=True)
    shutil.copy(solo / "evaluation" / "metrics.json", root / "results" / "metrics" / "x.json")
    shutil.copy(solo / "journal.jsonl", root / "results" / "journal" / "x" / "run.jsonl")
    shutil.copy(solo / "training" / "job.json", root / "build" / "jobs" / "x.json")
    (root / "report" / "índex.html").write_text("<p>é</p>\n")
    for part in ("train", "test"):
        Curve1d(num_train=20, num_test=10).write(part, root / "data" / "curve_1d" / f"{part}.safetensors")
    live = root / "runs" / "pipeline" / "x" / "run"
    shutil.copytree(solo / "checkpoints", live)
    write_manifest(live)


def record_in_dvc(root: Path, outs: dict[str, list[str]]) -> None:
    """Write DVC's cache and dvc.lock as `dvc commit` would."""
    stages = {
        name: {"cmd": "true", "outs": [{"path": path, "md5": _add_to_cache(root, root / path)} for path in paths]}
        for name, paths in outs.items()
    }
    (root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}, sort_keys=False))


def _add_to_cache(root: Path, path: Path) -> str:
    if path.is_file():
        return _write_object(root, path.read_bytes(), "")
    files = sorted((file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file())
    members = [{"md5": _add_to_cache(root, file), "relpath": name} for name, file in files]
    return _write_object(root, json.dumps(members).encode(), ".dir")


def _write_object(root: Path, data: bytes, suffix: str) -> str:
    name = hashlib.md5(data).hexdigest() + suffix
    target = root / ".dvc" / "cache" / "files" / "md5" / name[:2] / name[2:]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return name


def covered_files(root: Path) -> list[Path]:
    """All files that `piecewise verify` must cover and that are not empty. Uses none of the code under test."""
    files = [path for folder in COVERED for path in sorted((root / folder).rglob("*"))]
    return [path for path in files if path.is_file() and path.stat().st_size > 0]


@contextmanager
def flipped(path: Path, bit: int) -> Iterator[None]:
    """Flip one bit of the file, keeping its size and times; flip it back at the end."""
    _flip(path, bit)
    try:
        yield
    finally:
        _flip(path, bit)


def _flip(path: Path, bit: int) -> None:
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def flip_trial(root: Path, rng: Random) -> tuple[str, dict[str, str]]:
    """Flip a random bit of a random file. Returns the file's name, and the faults that verify found by file name."""
    from piecewise.health.verify import verify

    path = rng.choice(covered_files(root))
    bit = rng.randrange(8 * path.stat().st_size)
    name = path.relative_to(root).as_posix()
    with flipped(path, bit):
        found = {path: fault.what for report in verify(Project(root)) for path, fault in report.faults.items()}
    return name, found
