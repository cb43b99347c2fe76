"""Measure a run on its test set, and compare with the metrics that are recorded already.

The exit code is 1 if they differ at all: data, weights or source have changed. The models of a sweep are measured as an
ensemble, which predicts the mean of their outputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from piecewise import terminal
from piecewise.commands.arguments import Arguments
from piecewise.errors import BadInput, PiecewiseError
from piecewise.project import Project

if TYPE_CHECKING:
    from piecewise.journal.find import KnownRun
    from piecewise.journal.run_folder import RunFolder


def main(project: Project, arguments: Arguments) -> int:
    arguments.add_run()
    asked = arguments.read()
    from piecewise.journal.find import find_run

    run = find_run(project, asked.run)  # before what imports torch, which takes seconds
    from piecewise.analysis.current import is_evaluated
    from piecewise.analysis.draw import draw_run
    from piecewise.analysis.evaluate import evaluate_run, measure, measure_ensemble
    from piecewise.durable import read_json
    from piecewise.journal.names import folder_name
    from piecewise.journal.run_folder import read_result
    from piecewise.manifest import update_manifest

    if run.start.num_jobs is not None:
        _show(measure_ensemble(_members(run, run.start.num_jobs)))
        return 0
    read_result(run.folder)
    if run.folder.is_of_pipeline and not is_evaluated(run.folder):
        _show(measure(run.folder))
        stage = f"evaluate@{folder_name(run.start.name)}"
        terminal.warn(f"nothing recorded to compare with: these weights are newer; dvc repro {stage} records metrics")
        return 0
    if run.folder.metrics.is_file():
        recorded, metrics = read_json(run.folder.metrics), measure(run.folder)
    else:
        with run.folder.held():
            recorded = metrics = evaluate_run(run.folder)
            draw_run(run.folder)
            update_manifest(run.folder.sealed, ["evaluation", "figures"])
    _show(metrics)
    differing = [key for key in {**recorded, **metrics} if recorded.get(key) != metrics.get(key)]
    for key in differing:
        terminal.fail(f"{key} is recorded as {recorded.get(key)}, measured now {metrics.get(key)}")
    return 1 if differing else 0


def _members(run: KnownRun, count: int) -> list[RunFolder]:
    """The jobs of a sweep. Raises PiecewiseError if the pipeline has not trained all of them."""
    from piecewise.execution.job_folders import JobFolders
    from piecewise.execution.ledger import DONE, LEDGER
    from piecewise.execution.sweep import Sweep
    from piecewise.journal.run_folder import RunFolder

    root = run.folder.sealed
    if (root / LEDGER).is_file():
        sweep = Sweep.at(root)
        if left := sum(state not in DONE for state in sweep.states()):
            raise BadInput(
                f"{run.title}: {left} of its {len(sweep.jobs)} jobs are not finished, and the mean is over all; "
                f"piecewise resume {run.id} retry=1 runs them; allowed now: one of its jobs"
            )
        return [sweep.folder_of(entry) for entry in sweep.record.entries]
    if not run.folder.is_of_pipeline:
        return JobFolders.below(root, count).jobs
    parent = run.folder.training.parent
    folders = [RunFolder.of_stage(run.start.name, path.parent.name) for path in sorted(parent.glob("*/result.json"))]
    if len(folders) != count:
        raise PiecewiseError(f"{run.start.title}: {len(folders)} of its {count} trainings have finished")
    return folders


def _show(metrics: dict[str, float]) -> None:
    print(terminal.table([(key, f"{value:.10g}") for key, value in metrics.items()]))
