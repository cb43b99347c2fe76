"""What a GPU must do: each check trains frozen jobs on the device and compares with the CPU, or with a second run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import torch

import killed_training
from gpu.trainings import digest, distance, flat_weights, history, train_ranks, trained, with_trainer
from piecewise.analysis.evaluate import evaluate_run
from piecewise.execution.executors.pool import Pool
from piecewise.execution.listening import Listening
from piecewise.execution.pack import Pack
from piecewise.jobs.job import Job, read_job
from piecewise.journal.names import new_id
from piecewise.journal.run_folder import RunFolder

# ‖w − w*‖ / ‖w*‖ after four steps with momentum and with Adam, where w* are the CPU's weights in float64. Adam divides
# each gradient by its own size, so that rounding errors of small gradients weigh as much as those of large ones.
TOLERANCES = {
    "64-true": (1e-9, 1e-9),
    "32-true": (1e-5, 1e-5),
    "bf16-mixed": (2e-2, 1e-1),
    "16-mixed": (2e-2, 1e-1),
    "16-true": (1e-2, 1e-1),
    "bf16-true": (2e-2, 1e-1),
}
TF32 = (1e-2, 1e-1)  # convolutions of a GPU round float32 inputs to ten bits, unless PyTorch is told otherwise
NOT_ON_CPUS = ("16-mixed",)  # piecewise refuses it there
CONVOLUTIONAL = ("cnn", "resnet")
HALF_EPS = 1e-2  # Adam's eps in 16-true: squares of small gradients, and the usual 1e-8, are 0 in half precision
FIRST_LOSS = 2e-2  # relative difference of the first step's loss: before any update only the forward pass is compared
RANKS = 1e-4  # between one process and two, in float32


class SmallScale(torch.amp.GradScaler):
    """The scaler of 16-mixed, which by default scales by 65,536 and skips the first steps until nothing overflows."""

    def __init__(self, device: str = "cuda") -> None:
        super().__init__(device, init_scale=256.0)


Finding = tuple[str, str, bool] | tuple[str, str, bool, float]  # a Case without its names


@dataclass(frozen=True)
class Case:
    """One comparison: what was found, what is allowed, and whether that is enough."""

    check: str
    name: str
    found: str
    allowed: str
    is_met: bool
    value: float = 0.0  # what was found, as a number, where several cases are summed up


def matrix(jobs: Path, device: str, place: Path) -> Iterator[Case]:
    """Each model, precision and optimizer: a few steps on the device against the same steps on the CPU in float64."""
    for path in sorted(jobs.glob("*.json")):
        for precision in (name for name in TOLERANCES if device == "cuda" or name not in NOT_ON_CPUS):
            where = place / f"{path.stem}-{precision}"
            yield guarded(
                "steps",
                f"{path.stem} {precision}",
                lambda path=path, precision=precision, where=where: steps(path, device, precision, where),
            )


def steps(path: Path, device: str, precision: str, place: Path) -> Finding:
    """The weights after a few steps, and the first loss, against those of the CPU in float64."""
    job, is_adam = read_job(path), path.stem.endswith("adam")
    is_tf32 = precision == "32-true" and device == "cuda" and path.stem.startswith(CONVOLUTIONAL)
    allowed = (TF32 if is_tf32 else TOLERANCES[precision])[is_adam]
    if is_adam and precision == "16-true":
        job = replace(job, frozen=job.frozen | {"optimizer": job.frozen["optimizer"] | {"eps": HALF_EPS}})
    reference = trained(with_trainer(job, accelerator="cpu", precision="64-true"), place / "reference")
    with patch.object(torch.amp, "GradScaler", SmallScale):
        run = trained(with_trainer(job, accelerator=device, precision=precision), place / "device")
    found = distance(flat_weights(run), flat_weights(reference))
    first, wanted = (history(one, "train/nll")[0][1] for one in (run, reference))
    relative = abs(first - wanted) / abs(wanted)
    said = f"weights {found:.1e}, first loss {relative:.1e}"
    return said, f"{allowed:.0e}, {FIRST_LOSS:.0e}", found <= allowed and relative <= FIRST_LOSS, found


def repeated(job: Job, device: str, place: Path) -> Finding:
    """The same job in two processes: the same bits."""
    job = with_trainer(job, accelerator=device)
    one = trained(job, place / "here")
    other = killed_training.start(job, one.at(place / "elsewhere"), is_resumed=False)
    other.join()
    digests = {digest(one), digest(one.at(place / "elsewhere"))}
    return f"{len(digests)} digest{'s' * (len(digests) > 1)}", "1 digest", len(digests) == 1


def killed(job: Job, device: str, place: Path) -> Finding:
    """A training that is killed twice and resumed ends with the bits of one that was not."""
    job = with_trainer(job, accelerator=device)
    whole = trained(job, place / "whole")
    run, kills, rng = whole.at(place / "killed"), 0, Random(0)
    for number in range(3):
        process = killed_training.start(job, run, is_resumed=number > 0)
        if number < 2:
            killed_training.signal_after_steps(process, run, rng, most=30)
        process.join()
        kills += process.exitcode == -9
    digests = {digest(whole), digest(run)}
    found = f"{kills} kills, {len(digests)} digest{'s' * (len(digests) > 1)}"
    return found, "2 kills, 1 digest", kills == 2 and len(digests) == 1


def pooled(job: Job, device: str, place: Path) -> Finding:
    """Two jobs at the same time, in processes of a pool that share the device: the bits of each alone."""
    frozen = with_trainer(job, accelerator=device).frozen
    jobs = [replace(job, frozen=frozen | {"seed": seed}) for seed in (0, 1)]
    alone = [digest(trained(one, place / f"alone{number}")) for number, one in enumerate(jobs)]
    runs = [RunFolder.at(place / f"pool{number}") for number in range(2)]
    packs = [
        Pack(place / f"{number}.json", number, one, run, {"id": new_id()}, {}, evaluates=False)
        for number, (one, run) in enumerate(zip(jobs, runs, strict=True))
    ]
    listening = Listening(lambda pack, outcome: None)
    Pool(slots=2).run(packs, listening)
    same = sum(digest(run) == known for run, known in zip(runs, alone, strict=True))
    return f"{same} of 2 equal", "2 of 2", same == 2 and not listening.errors


def ranks(job: Job, device: str, place: Path, backend: str, count: int) -> Finding:
    """All ranks use the same device, and train what one process trains."""
    job = with_trainer(job, accelerator=device)
    alone = trained(job, place / "alone")
    found = distance(flat_weights(train_ranks(job, place / "ranks", backend, count)), flat_weights(alone))
    return f"weights {found:.1e}", f"{RANKS:.0e}", found <= RANKS


def experiments(jobs: Path, device: str, place: Path) -> Iterator[Case]:
    """One seed of each experiment meets the expectation that its file states."""
    for path in sorted(jobs.glob("*.json")):
        job = read_job(path)
        source = Path(job.frozen["data"].get("path") or ".")
        if not source.exists():
            yield Case("experiment", path.stem, f"not run: {source} is missing", "", is_met=True)
            continue
        yield guarded("experiment", path.stem, lambda job=job, name=path.stem: _judged(job, device, place / name))


def _judged(job: Job, device: str, place: Path) -> Finding:
    run = trained(with_trainer(job, accelerator=device), place)
    metrics, found, allowed, is_met = evaluate_run(run), [], [], True
    for item in job.frozen["about"]["expected"]:
        if all(job.config.model.options.get(key.removeprefix("model.")) == value for key, value in _when(item)):
            value = metrics[item["metric"]]
            least, most = item.get("at_least", -torch.inf), item.get("at_most", torch.inf)
            is_met &= least <= value <= most
            found.append(f"{item['metric']} {value:.4g}")
            allowed.append(f"≥ {least:g}" if most == torch.inf else f"≤ {most:g}")
    return ", ".join(found), ", ".join(allowed), is_met and bool(found)


def _when(item: dict[str, Any]) -> list[tuple[str, Any]]:
    return list((item.get("when") or {}).items())


def guarded(check: str, name: str, run: Callable[[], Finding]) -> Case:
    """The outcome of a comparison; an error is an outcome too."""
    try:
        return Case(check, name, *run())
    except Exception as error:
        return Case(check, name, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}", "no error", False)


def all_checks(jobs: Path, device: str, place: Path, deadline: float) -> Iterator[Case]:
    """Every check. What has not begun at `deadline`, by the monotonic clock, is not run, which counts as not met."""
    for case in _in_order(jobs, device, place):
        yield case
        if time.monotonic() > deadline:
            yield Case("time", "the rest", "not run", "8 minutes", False)
            return


def _in_order(jobs: Path, device: str, place: Path) -> Iterator[Case]:
    long = read_job(jobs / "long.json")
    yield guarded("same bits", "two processes", lambda: repeated(long, device, place / "twice"))
    yield guarded("same bits", "killed, resumed", lambda: killed(long, device, place / "killed"))
    yield guarded("same bits", "two in a pool", lambda: pooled(long, device, place / "pool"))
    yield guarded("ranks", "2, gloo", lambda: ranks(long, device, place / "two", "gloo", 2))
    alone = "nccl" if device == "cuda" else "gloo"
    yield guarded("ranks", f"1, {alone}", lambda: ranks(long, device, place / "one", alone, 1))
    yield from matrix(jobs / "matrix", device, place)
    yield from experiments(jobs / "experiments", device, place)
