"""Take the job of a pack to its end in this process: train, evaluate, draw, seal."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from piecewise import stopping, terminal
from piecewise.errors import FULL, PiecewiseError, TryAgain
from piecewise.execution.executors.contract import FAILED, FINISHED, KILLED, Outcome
from piecewise.execution.pack import Pack
from piecewise.execution.train import train
from piecewise.journal.run_folder import RunFolder, read_result
from piecewise.journal.writer import Unwritable
from piecewise.manifest import remove_manifest, write_manifest


def attempt(pack: Pack) -> Outcome:
    """Run a pack and say how it ended. Raises Stopped after a signal, and nothing else."""
    try:
        return Outcome(FINISHED, run_pack(pack), read_result(pack.folder)["val_nll"])
    except stopping.Stopped:
        raise
    except SystemExit as leaving:
        return Outcome(FAILED, message=f"it called sys.exit({leaving.code!r})", exit_code=1)
    except Exception as error:
        stopping.raise_if_stopped()  # the error may be how a library answered a signal
        known = error if isinstance(error, PiecewiseError) else None
        exit_code = known.exit_code if known is not None else 1
        # Not the job's own fault: the same command goes on with it.
        is_passing = isinstance(error, (TryAgain, Unwritable)) or getattr(error, "errno", None) in FULL
        state = KILLED if is_passing else FAILED
        return Outcome(state, message=terminal.explain(error), exit_code=exit_code, error=known)


def run_pack(pack: Pack) -> dict[str, float]:
    """Train the pack's job, evaluate and draw it if the pack says so, and return its metrics.

    Raises TryAgain if another process writes the run, and what training and evaluation raise.
    """
    folder = pack.folder
    with held(folder):
        remove_manifest(folder.sealed)
        parts = None
        if not (pack.is_resumed and folder.is_trained):
            folder.result.unlink(missing_ok=True)  # it says FINISHED, but the weights are gone
            parts = train(pack.job, folder, pack.facts, pack.is_resumed, pack.digests)
        metrics: dict[str, float] = {}
        if pack.evaluates and pack.job.config.evaluate:
            from piecewise.execution.evaluate_and_draw import evaluate_and_draw

            metrics = evaluate_and_draw(folder, parts, pack.draws)
        write_manifest(folder.sealed)
    return metrics


def held(folder: RunFolder) -> AbstractContextManager[None]:
    """Hold the lock of a run's files. A stage of the pipeline holds that of all its runs already."""
    return nullcontext() if folder.is_of_pipeline else folder.held()
