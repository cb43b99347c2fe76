"""The `piecewise` command. It imports nothing heavy until it knows what is wanted."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from piecewise import process_settings, terminal
from piecewise.errors import BadInput, nearest
from piecewise.project import Project
from piecewise.stopping import Stopped, answered

# Each verb is a module of piecewise.commands.
VERBS = {
    "train": "train, evaluate and draw one run, or with -m a sweep",
    "resume": "go on with a run that was interrupted",
    "evaluate": "measure a run on its test set",
    "predict": "what a run's model says about the examples in a file",
    "animate": "the fit of a small model over its training, as a GIF",
    "regions": "the joints and linear regions of a model with one or two inputs",
    "list": "the experiments, or the options of a group",
    "show": "a composed job, and where each value comes from",
    "summary": "the table of results",
    "report": "rebuild the report from the results that exist",
    "ui": "open MLflow's pages on this machine",
    "server": "keep an MLflow server with PostgreSQL and S3 on this machine",
    "sync": "bring runs to MLflow that are missing there",
    "verify": "re-hash data, cache, checkpoints, artifacts and journals",
    "doctor": "find what is wrong with this installation and project, and the remedy",
    "clean": "remove what finished or failed runs no longer need",
}
EXAMPLES = """\
  piecewise train experiment=mnist_cnn
  piecewise train experiment=mnist_cnn optimizer=adamw optimizer.lr=3e-3 trainer.max_epochs=2
  piecewise train -m experiment=shallow_regression model.width=4,16,64 seed=0,1
"""
LOOKING = ("doctor",)  # it names runs that nobody ended, and changes nothing
QUIET_FLAGS = ("-q", "--quiet")
HELP = ("-h", "--help", "help")
COMPLETION = ("-sc", "--shell-completion")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if any(word in QUIET_FLAGS for word in words):
        process_settings.be_quiet()
    words = [word for word in words if word not in QUIET_FLAGS]
    return guarded(_run, *(words or HELP[:1]))


def usage() -> str:
    lines = [
        "piecewise runs deep-learning experiments that can be trusted, varied and found again.",
        "A run is one composed configuration, frozen to a job; every run is recorded in MLflow.",
        "`dvc repro` reproduces the record; `piecewise train` is for everything else.",
        "",
        terminal.table([(terminal.paint(verb, "bold"), what) for verb, what in VERBS.items()], indent="  "),
        "",
        EXAMPLES.rstrip(),
        "",
        "piecewise VERB --help says more; --quiet leaves results and errors only. A RUN is named by its id,",
        "the beginning of it, its title, or `last`.",
    ]
    return "\n".join(lines) + "\n"


def guarded(function: Callable[..., int], *arguments: object) -> int:
    """Call `function` and turn what a user can cause into one line on stderr and an exit code.

    What it writes is for the eyes of whoever started it. Set PIECEWISE_DEBUG for the traceback of an error.
    """
    process_settings.enter()
    try:
        with answered():
            code = function(*arguments)
            if sys.stdout is not None:  # closed by whoever started it
                sys.stdout.flush()
            return code
    except BrokenPipeError:  # `piecewise list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (Exception, Stopped) as error:
        message = terminal.explain(error)
        if not getattr(error, "is_reported", False):
            terminal.fail(message)
        return int(error.code or 1) if isinstance(error, Stopped) else getattr(error, "exit_code", 1)


def _run(verb: str, *arguments: str) -> int:
    if verb in HELP:
        print(usage(), end="")
        return 0
    if verb in COMPLETION:
        return int(importlib.import_module("piecewise.commands.completion").main(list(arguments)))
    if verb not in VERBS:
        raise BadInput(f"piecewise has no verb {verb!r}; {nearest(verb, VERBS)}")
    from piecewise.tracking.sync.orphans import end_here

    command = importlib.import_module(f"piecewise.commands.{verb}")
    project, started_in = Project.find(), Path.cwd()
    os.chdir(project)  # every path in a configuration is relative to the project's root
    if verb not in LOOKING:
        end_here(project)
    return int(command.main(project, started_in, list(arguments)))
