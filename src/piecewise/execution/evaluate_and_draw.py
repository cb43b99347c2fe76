"""What follows the training of a job of `piecewise train`; the stages of `dvc repro` do it later."""

from piecewise.analysis.evaluate import evaluate_run
from piecewise.jobs.build import Parts
from piecewise.journal.run_folder import RunFolder


def evaluate_and_draw(folder: RunFolder, parts: Parts | None, draws: bool) -> dict[str, float]:
    """Evaluate a run, with the parts it was trained with if they are known; returns its metrics."""
    metrics = evaluate_run(folder, parts)
    if draws:
        from piecewise.analysis.draw import draw_run  # imports matplotlib

        draw_run(folder)
    return metrics
