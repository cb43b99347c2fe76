"""Check the learning-rate schedule of a job against the length of its training."""

import warnings

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from piecewise.errors import BadInput
from piecewise.jobs import build
from piecewise.jobs.build import Parts

# Options of schedulers that are a number of intervals, steps or epochs.
INTERVAL_COUNTS = ("total_steps", "T_max", "T_0", "total_iters", "step_size", "milestones")


def check_schedule(parts: Parts, optimizer: Optimizer) -> None:
    """Raise BadInput, naming the key, for a schedule that does not fit the training. Its own errors pass through."""
    schedule = build.make_schedule(parts.config)
    if schedule is None:
        return
    steps, epochs = parts.length.steps, parts.length.epochs
    total = steps if schedule.interval == "step" else epochs
    for key in INTERVAL_COUNTS:
        value = schedule.arguments.get(key)
        counts = [count for count in (value if isinstance(value, list) else [value]) if isinstance(count, int)]
        if any(count < 1 for count in counts):  # PyTorch divides by it, or ignores it: total_iters=0 never warms up
            raise BadInput(f"scheduler.{key}={value} must be at least 1 {schedule.interval}")
        if any(count > total for count in counts):
            raise BadInput(
                f"scheduler.{key}={value} is longer than the training, which has {total} {schedule.interval}s; "
                f"allowed: at most {total}"
            )
    if (schedule.arguments.get("total_steps") or total) < total:
        raise BadInput(
            f"scheduler.total_steps={schedule.arguments['total_steps']} ends before the training, which has {total} "
            f"{schedule.interval}s; leave it out and it is set"
        )
    scheduler = schedule.configure(optimizer, steps, epochs)["lr_scheduler"]["scheduler"]
    if not isinstance(scheduler, ReduceLROnPlateau):  # it needs a metric, which the trial step refuses
        _take_last_interval(scheduler, total)


def _take_last_interval(scheduler: LRScheduler, total: int) -> None:
    """The step that ends the training: with pct_start=1.0 OneCycleLR divides by zero there, and nowhere else."""
    scheduler.last_epoch = total - 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a scheduler that steps before its optimizer
        scheduler.step()
