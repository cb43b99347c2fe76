"""The stage `evaluate`: every trained job of one experiment on its test set."""

from piecewise.analysis.evaluate import evaluate_run
from piecewise.durable import write_json
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project
from piecewise.report.runs import stage_metrics


def main(experiment: str) -> None:
    """`experiment` is the name of its folders."""
    results = Project().results
    for path in sorted((results / "train" / experiment).glob("*/result.json")):
        metrics = evaluate_run(RunFolder.of_stage(experiment, path.parent.name))
        numbers = "  ".join(f"{key} {value:.5g}" for key, value in metrics.items())
        print(f"{experiment} {path.parent.name}: {numbers}", flush=True)
    write_json(results / "metrics" / f"{experiment}.json", stage_metrics(experiment))
