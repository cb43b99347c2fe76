"""The stage `evaluate`: every trained job of one experiment on its test set."""

from piecewise.analysis.evaluate import evaluate_run
from piecewise.durable import write_json
from piecewise.errors import PiecewiseError
from piecewise.journal.names import train_stage
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project
from piecewise.report.runs import stage_metrics


def main(experiment: str) -> None:
    """`experiment` is the name of its folders."""
    results = Project().results
    paths = sorted((results / "train" / experiment).glob("*/result.json"))
    if not paths:
        raise PiecewiseError(
            f"{results}/train/{experiment} has no result; dvc repro {train_stage(experiment)} makes it"
        )
    for path in paths:
        metrics = evaluate_run(RunFolder.of_stage(experiment, path.parent.name))
        numbers = "  ".join(f"{key} {value:.5g}" for key, value in metrics.items())
        print(f"{experiment} {path.parent.name}: {numbers}", flush=True)
    write_json(results / "metrics" / f"{experiment}.json", stage_metrics(experiment))
