"""What a job of a sweep costs, by executor, beside Hydra's launchers: python tests/benchmarks/sweeps.py.

Each job trains a 1-20-1 network for 120 steps and is recorded in MLflow. The baseline is hydra_app/app.py, with
Lightning's MLFlowLogger; its joblib launcher is measured if hydra-joblib-launcher is installed. The cost of a job is
the difference between a long and a short sweep, divided by the difference of their numbers of jobs.
"""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from small_project import new_project

FEW, MANY = 8, 64
ROUNDS = 3
APP = Path(__file__).parent / "hydra_app"
OWN = ["-m", "piecewise", "train", "-m", "experiment=shallow_regression", "trainer.max_epochs=20", "model.width=20"]
BASE = [str(APP / "app.py"), "-m", "hydra.job_logging.root.level=ERROR", "hydra.hydra_logging.root.level=ERROR"]
# The store exists, as in any project but a new one, and so does the experiment of the baseline: of two processes that
# create it at once, MLflow's client fails in one.
PREPARE = """
from piecewise.project import Project
from piecewise.tracking.store.addresses import EMBEDDED
from piecewise.tracking.store.open import open_store
open_store(EMBEDDED, Project()).create_experiment("sweep")
"""
VARIANTS = {
    "piecewise, executor=pool": OWN,
    "piecewise, executor=inline": [*OWN, "executor=inline"],
    "Hydra's basic launcher": BASE,
    "Hydra's joblib launcher": [*BASE, "hydra/launcher=joblib", "hydra.launcher.n_jobs=-1"],
}


def seconds(words: list[str], count: int) -> float:
    """From the prompt to the exit of a sweep of so many seeds, in a new project."""
    with tempfile.TemporaryDirectory() as folder:
        root = new_project(Path(folder, "project"))
        subprocess.run([sys.executable, "-c", PREPARE], cwd=root, check=True)
        command = [sys.executable, *words, f"seed=range(0,{count})"]
        start = time.perf_counter()
        subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.perf_counter() - start


def main() -> None:
    variants = dict(VARIANTS)
    if importlib.util.find_spec("hydra_plugins.hydra_joblib_launcher") is None:
        del variants["Hydra's joblib launcher"]
    taken: dict[tuple[str, int], list[float]] = {}
    for _ in range(ROUNDS):
        for name, words in variants.items():
            for count in (FEW, MANY):
                taken.setdefault((name, count), []).append(seconds(words, count))
    medians = {key: statistics.median(values) for key, values in taken.items()}
    costs = {name: (medians[name, MANY] - medians[name, FEW]) / (MANY - FEW) for name in variants}
    least = costs["piecewise, executor=pool"]
    for name, cost in costs.items():
        whole = f"{MANY} jobs from prompt to exit {medians[name, MANY]:5.1f} s"
        print(f"{name:28} {cost:6.3f} s a job, {cost / least:4.1f} x that of the pool; {whole}", flush=True)


if __name__ == "__main__":
    main()
