"""Train one job into its run folder."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from piecewise import stopping
from piecewise.data.stored import digest_tensors
from piecewise.durable import write_json
from piecewise.errors import BadInput, TryAgain
from piecewise.execution.parent import end_with
from piecewise.execution.ranks import REQUEST, fate_of_others, is_first_rank, run_ranks, telling_why
from piecewise.execution.resume import unchanged
from piecewise.jobs import build
from piecewise.jobs.batches import global_batch_size
from piecewise.jobs.job import Job, canonical
from piecewise.jobs.run_key import prepare
from piecewise.jobs.trainer import make_trainer
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder, new_id
from piecewise.journal.writer import Journal, Unwritable
from piecewise.processes import this_process


@dataclass(frozen=True)
class Request:
    """What is asked of a training besides its job."""

    folder: RunFolder
    facts: dict[str, Any]  # join the journal's first record
    parent: dict[str, Any] | None = None  # the process that waits for this one, if one does
    has_progress: bool = False
    is_resumed: bool = False  # go on from the newest checkpoint in the folder

    def as_text(self) -> str:
        return canonical({**vars(self), "folder": self.folder.as_text()})

    @classmethod
    def from_text(cls, text: str) -> Request:
        content = json.loads(text)
        return cls(**content | {"folder": RunFolder.from_text(content["folder"])})


def train(
    job: Job,
    folder: RunFolder,
    facts: dict[str, Any] | None = None,
    has_progress: bool = False,
    is_resumed: bool = False,
) -> None:
    """Train `job` and leave weights, result and journal in `folder`; `facts` join the journal's first record.

    A job of several ranks runs in a process of its own, started from its file: ranks re-execute the command line they
    find, and nobody's sweep must be in it. Raises NonFiniteLoss, and Stopped after a signal.
    """
    request = Request(folder, {"id": new_id(), **(facts or {})}, None, has_progress, is_resumed)
    if job.config.trainer.needs_ranks:
        job.write(folder.job)
        try:
            run_ranks(folder, replace(request, parent=this_process()).as_text())
        except Exception as error:
            _close(folder, error)
            raise
    else:
        _train_here(job, request)


def _close(folder: RunFolder, error: Exception) -> None:
    """Say in the journal that the run has failed, where its own process was lost and could not."""
    record = read_journal(folder.journal) if folder.journal.is_file() else None
    if record is not None and record.end is None:
        with Journal(folder.journal) as journal:
            journal.end("FAILED", reason=f"{type(error).__name__}: {error}"[:500])


def _train_here(job: Job, request: Request, is_placed: bool = True) -> None:
    """Train in this process, which may be one rank of several; only rank 0 records."""
    with stopping.in_order():
        if not is_first_rank():
            # Under torchrun each rank chose a folder, and only the first one's is the run's.
            with telling_why(request.folder) if is_placed else contextlib.nullcontext():
                _fit(job, request, None)
            return
        result = prepare(job)
        with Journal(request.folder.journal) as journal:
            _open(journal, job, request, result)
            with _telling(journal, request.folder, BaseException):
                result |= _fit(job, request, journal)
            journal.end(**result)
            # Last: whoever finds it looks for no other end. A signal that comes first changes nothing: it has finished.
            with _telling(journal, request.folder, OSError):
                write_json(request.folder.result, result)


@contextmanager
def _telling(journal: Journal, folder: RunFolder, kind: type[BaseException]) -> Iterator[None]:
    """Write in the journal how the run ends, if it ends by an error of this kind."""
    try:
        yield
    except kind as error:
        status = "KILLED" if isinstance(error, (KeyboardInterrupt, SystemExit)) else "FAILED"
        why = f"{fate_of_others(folder)}; " if isinstance(error, TryAgain) else ""
        with contextlib.suppress(Unwritable):  # which may be the very error
            journal.end(status, reason=f"{why}{type(error).__name__}: {error}"[:500])
        raise


def _open(journal: Journal, job: Job, request: Request, prepared: dict[str, Any]) -> None:
    """Write who the run is, or that it goes on. Raises BadInput if it goes on with other data."""
    record = read_journal(journal.path) if request.is_resumed else None
    if record is None or not request.folder.job.is_file():  # DVC has removed it with the rest of a stage's outs
        job.write(request.folder.job)
    if record is None:
        about = {"name": job.name, "label": job.label, "title": job.title, "config": job.frozen}
        journal.start(**about, **prepared, process=this_process(), **request.facts)
        journal.artifact("model.yaml", "config")
    else:
        journal.resume(process=this_process(), changed=unchanged(record.start, job, prepared["digests"]))


def _fit(job: Job, request: Request, journal: Journal | None) -> dict[str, Any]:
    from piecewise.training.datamodule import ResidentData
    from piecewise.training.fit import FitOptions, fit
    from piecewise.training.module import TrainingModule
    from piecewise.training.weights_file import publish

    config = job.config
    parts = build.build_parts(config)
    train_set, val_set = build.build_examples(config, parts)
    batch_size = global_batch_size(config, len(train_set))
    data = ResidentData(train_set, val_set, batch_size, config.seed, config.data.max_shift)
    module = TrainingModule(parts.model, parts.loss, build.make_optimizer(config), build.make_schedule(config))
    options = FitOptions(
        request.folder.checkpoints,
        config.select,
        vars(config.early_stopping) if config.early_stopping.patience else None,
        config.log_every_n_steps,
        job.title if request.has_progress and journal is not None else None,
        request.is_resumed,
    )
    outcome = fit(module, data, make_trainer(config.trainer), journal, options)
    if journal is not None:
        publish(request.folder.weights, outcome.weights, job.frozen)
        if outcome.path is not None:
            outcome.path.write(request.folder.path)
    return {
        "status": "FINISHED",
        "steps": outcome.steps,
        "steps_planned": outcome.steps_planned,
        "epochs": outcome.epochs,
        "selected": outcome.selected,
        "selected_step": outcome.selected_step,
        "val_nll": outcome.val_nll,
        "num_parameters": sum(parameter.numel() for parameter in parts.model.parameters()),
        "num_train": len(train_set),
        "num_val": len(val_set),
        "numerics": outcome.numerics,
        "weights_digest": digest_tensors(outcome.weights),
    }


def train_as_rank(job: Job, resumed: Path | None = None) -> None:
    """Train in this very process: the entry of `python -m piecewise.worker` on every rank.

    Rank 0 of a worker that nobody placed chooses its folder; the ranks that it starts inherit the choice. With
    `resumed` the run in that folder goes on. Raises BadInput if there is none.
    """
    if resumed is not None and not RunFolder.at(resumed).journal.is_file():
        raise BadInput(f"--resume {resumed}: no run is there; allowed: a folder below runs/ with a journal")
    run_id = new_id()
    is_placed = resumed is not None or REQUEST in os.environ
    place = resumed or Path("runs") / f"{run_id}-{job.name}"
    alone = Request(RunFolder.at(place), {"id": run_id}, None, sys.stderr.isatty(), resumed is not None)
    request = Request.from_text(os.environ.setdefault(REQUEST, alone.as_text()))
    if request.parent is not None:
        end_with(request.parent)
    _train_here(job, request, is_placed)
