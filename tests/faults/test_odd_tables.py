"""Tables with few rows, constant columns, one class or huge numbers: a job trains and is drawn, or nothing starts."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np

from piecewise.analysis.draw import draw_run
from piecewise.analysis.evaluate import evaluate_run
from piecewise.durable import read_json
from piecewise.errors import BadInput, NonFiniteLoss
from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder
from piecewise.planning.plan import plan_command_line
from piecewise.project import Project
from trials import Trials

Array = np.ndarray
COLUMNS = ("normal", "constant", "tiny", "huge", "far", "copy", "binary", "two values")
REAL_TARGETS = ("normal", "constant", "tiny", "huge", "far", "zero", "positive", "linear")
CLASSES = ("one class", "last class only", "two classes", "four classes")
LOSSES = {
    "real": ("squared_error", "heteroscedastic", "laplace", "student_t", "mixture", "multivariate_normal"),
    "positive": ("exponential", "gamma"),
    "class": ("categorical", "bernoulli", "poisson"),
}


def column(kind: str, rng: np.random.Generator, count: int, others: list[Array]) -> Array:
    normal = rng.normal(size=count)
    return {
        "normal": normal,
        "constant": np.full(count, rng.choice([0.0, 0.1, -3.0, 1e30, 1e-30, 1.7e9 + 0.1])),
        "tiny": 1e-30 * normal,
        "huge": 1e30 * normal,
        "far": 1e8 + normal,  # float32 keeps few different values
        "copy": others[-1] if others else normal,
        "binary": (normal > 0).astype(float),
        "two values": np.where(np.arange(count) == 0, 5.0, 2.0),
        "zero": np.zeros(count),
        "positive": np.exp(normal),
        "linear": others[0] * 2 + 1 if others else normal,
        "one class": np.zeros(count),
        "last class only": np.full(count, 2.0),
        "two classes": (normal > 0).astype(float),
        "four classes": rng.integers(0, 4, count).astype(float),
    }[kind]


def write_table(path: Path, rng: Random) -> tuple[list[str], str]:
    """A table drawn by `rng`; returns the options that train on it, and what was drawn."""
    draws = np.random.default_rng(rng.randrange(2**32))
    count, width = rng.choice([1, 4, 5, 5, 6, 9, 9, 30]), rng.choice([1, 1, 1, 2, 2, 2, 3, 12])
    kinds = [rng.choice(COLUMNS) for _ in range(width)]
    kind = rng.choice(["real", "real", "positive", "class"])
    target = {"real": rng.choice(REAL_TARGETS), "positive": "positive", "class": rng.choice(CLASSES)}[kind]
    columns: list[Array] = []
    for name in kinds:
        columns.append(column(name, draws, count, columns))
    columns.append(column(target, draws, count, columns[:1]))
    table = np.column_stack(columns)
    if count > 1 and rng.random() < 0.3:
        table[1] = table[0]
    header = ",".join([*(f"x{number}" for number in range(width)), "y"])
    np.savetxt(path, table, delimiter=",", header=header, comments="", fmt="%.17g")
    options = [
        f"loss={rng.choice(LOSSES[kind])}",
        f"model={rng.choice(['linear', 'shallow', 'mlp', 'residual'])}",
        f"trainer.precision={rng.choice(['32-true', '32-true', '64-true', 'bf16-true', 'bf16-mixed'])}",
        f"data.test_fraction={rng.choice([0.2, 0.5, 1 / count, 1 - 2 / count])}",
        f"data.val_fraction={rng.choice([0.2, 0.5, 0.5])}",
        f"data.standardise={rng.choice(['true', 'true', 'false'])}",
    ]
    return options, f"{count} rows of {kinds} and {target}: {options}"


def refused_or_job(options: list[str], project: Project) -> Job | None:
    """The job of these options; None if they are refused."""
    common = ["data=csv", "data.path=t.csv", "data.target=y", "batch_size=all", "tracking=none"]
    try:
        return plan_command_line(project / "conf", [*common, "trainer.max_epochs=2", *options])[0]
    except BadInput:
        return None


def test_a_table_is_trained_on_evaluated_and_drawn_or_refused(project: Project, trials: Trials) -> None:
    """Only what these data do not have may be left out; a loss that overflows stops the training."""
    counts = {"refused": 0, "not finite": 0, "drawn": 0}
    for number, rng in enumerate(trials("odd tables trained on, evaluated and drawn, or refused", 400)):
        options, drawn = write_table(project / "t.csv", rng)
        job = refused_or_job(options, project)
        if job is None:
            counts["refused"] += 1
            continue
        folder = RunFolder.at(project / "runs" / str(number))
        try:
            train(job, folder)
            metrics = evaluate_run(folder)
        except NonFiniteLoss:
            assert "huge" in drawn or "1e+30" in drawn or "false" in drawn, drawn
            counts["not finite"] += 1
            continue
        assert "test/nll" in metrics, drawn
        assert "learning_curves" in draw_run(folder), drawn
        left_out = read_json(folder.left_out) if folder.left_out.is_file() else {}
        assert not [reason for reason in left_out.values() if "a bug in piecewise" in reason], f"{drawn}: {left_out}"
        counts["drawn"] += 1
    print(counts)
