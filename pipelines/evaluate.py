"""Evaluate every trained job of one experiment on its test set: python pipelines/evaluate.py EXPERIMENT."""

import sys
from pathlib import Path

from piecewise.analysis.evaluate import evaluate_run
from piecewise.cli import guarded
from piecewise.durable import write_json
from piecewise.execution.stages import run_stage
from piecewise.journal.run_folder import RunFolder
from piecewise.report.results import stage_metrics


def main(experiment: str) -> int:
    for path in sorted(Path("results/train", experiment).glob("*/result.json")):
        folder = RunFolder.of_stage(experiment, path.parent.name)
        numbers = "  ".join(f"{key} {value:.5g}" for key, value in evaluate_run(folder).items())
        print(f"{experiment} {path.parent.name}: {numbers}", flush=True)
    write_json(Path("results/metrics") / f"{experiment}.json", stage_metrics(experiment))
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded(run_stage, main, *sys.argv[1:]))
