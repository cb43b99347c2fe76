"""The `piecewise` command. It imports nothing heavy until it knows what is wanted."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from piecewise.errors import BadInput, PiecewiseError, nearest

if TYPE_CHECKING:
    from piecewise.jobs.job import Job
    from piecewise.journal.folder import RunFolder

USAGE = """\
piecewise runs deep-learning experiments that can be trusted, varied and found again.
A run is one composed configuration, frozen to a job; every run is recorded in MLflow.
`dvc repro` reproduces the record; `piecewise train` is for everything else.

  piecewise train [-m] GROUP=OPTION KEY=VALUE …   train, evaluate and draw one run, or with -m a sweep
  piecewise list                                  the experiments with their questions
  piecewise sync                                  bring runs to MLflow that are missing there
  piecewise report                                rebuild the report from the results that exist
  piecewise summary                               the table of results

  piecewise train experiment=mnist_cnn
  piecewise train experiment=mnist_cnn optimizer=adamw optimizer.lr=3e-3 trainer.max_epochs=2
  piecewise train -m experiment=shallow_regression model.width=4,16,64 seed=0,1
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0
    verb, *rest = arguments
    return guarded(_run, verb, rest)


def guarded(function: Callable[..., int], *arguments: object) -> int:
    """Call `function` and turn what a user can cause into one line on stderr and an exit code."""
    try:
        return function(*arguments)
    except PiecewiseError as error:
        if os.environ.get("PIECEWISE_DEBUG"):
            traceback.print_exc()
        if not error.is_reported:
            print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _run(verb: str, arguments: list[str]) -> int:
    if verb not in VERBS:
        raise BadInput(f"piecewise has no verb {verb!r}; {nearest(verb, VERBS)}")
    from piecewise.jobs.provenance import find_root

    if arguments and verb != "train":
        raise BadInput(f"piecewise {verb} takes no arguments, got {' '.join(arguments)!r}")
    root = find_root()
    os.chdir(root)  # every path in a configuration is relative to the project's root
    return VERBS[verb](root, arguments)


def _train(root: Path, arguments: list[str]) -> int:
    from piecewise.jobs.plan import plan_command_line

    jobs = plan_command_line(root / "conf", arguments)
    if not jobs:  # Hydra only printed what it was asked for
        return 0
    from piecewise.jobs.session import Places, run_jobs
    from piecewise.jobs.train import default_folder

    place = default_folder(jobs[0].name)
    uri = (jobs[0].config["tracking"] or {}).get("uri")
    is_tracked = run_jobs(jobs, Places.below(place, len(jobs)), uri, _evaluate_and_draw)
    print(f"\nrun folder  {place}\nfigures     {place}/{'' if len(jobs) == 1 else '*/'}figures")
    if not is_tracked:
        print("warning: MLflow does not have everything yet; piecewise sync brings the rest", file=sys.stderr)
    print("compare     mlflow ui")
    return 0


def _evaluate_and_draw(job: Job, folder: RunFolder) -> None:
    metrics = {}
    if job.config["evaluate"]:
        from piecewise.jobs.draw import draw_run
        from piecewise.jobs.evaluate import evaluate_run

        metrics = evaluate_run(folder)
        draw_run(folder)
    numbers = "  ".join(f"{key} {value:.5g}" for key, value in metrics.items())
    print(f"{job.title}  {numbers}", flush=True)


def _list(root: Path, arguments: list[str]) -> int:
    from piecewise.jobs.about import experiments, read_about

    names = experiments(root / "conf")
    width = max(map(len, names))
    for name in names:
        print(f"{name:{width}}  {read_about(root / 'conf', name)['question']}")
    return 0


def _sync(root: Path, arguments: list[str]) -> int:
    from piecewise.jobs.record import all_runs, sync, tracking_uri
    from piecewise.tracking.store import EMBEDDED

    done = sync(tracking_uri(root) or EMBEDDED, all_runs(root))
    print(f"{done.seen} runs, {done.updated} brought up to date")
    for problem in done.problems:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if done.problems else 0


def _report(root: Path, arguments: list[str]) -> int:
    from piecewise.report.page import write_report

    print(write_report(root))
    return 0


def _summary(root: Path, arguments: list[str]) -> int:
    from piecewise.report.results import collect, text_table

    print(text_table(collect(root)))
    print(f"\nreport   {root / 'report' / 'index.html'}\nMLflow   mlflow ui")
    return 0


VERBS: dict[str, Callable[[Path, list[str]], int]] = {
    "train": _train,
    "list": _list,
    "sync": _sync,
    "report": _report,
    "summary": _summary,
}
