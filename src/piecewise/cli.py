"""The `piecewise` command. Heavy modules are imported only by the verbs that need them."""

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from piecewise import process_settings, terminal
from piecewise.commands.arguments import Arguments, HelpPrinted
from piecewise.errors import BadInput, nearest
from piecewise.project import Project
from piecewise.stopping import Stopped, handle_signals, is_silent

# Each verb is a module of piecewise.commands.
VERBS = {
    "train": "train, evaluate and draw one run, or with -m a sweep",
    "resume": "continue an interrupted run or sweep",
    "watch": "follow a sweep that another process runs",
    "evaluate": "measure a run on its test set",
    "predict": "predict the examples in a file with a run's model",
    "draw": "draw the figures of a run, or the table and figures of a sweep",
    "animate": "draw the fit of a small model over its training, as a GIF",
    "regions": "print the joints and linear regions of a model with one or two inputs",
    "list": "list the experiments, or the options of a group",
    "show": "print a composed job, and where each value comes from",
    "summary": "print the table of results",
    "report": "rebuild the report from existing results",
    "ui": "open MLflow's pages on this machine",
    "server": "run an MLflow server with PostgreSQL and S3 on this machine",
    "sync": "bring to MLflow the runs that are missing there",
    "verify": "hash data, cache, checkpoints, artifacts and journals again",
    "doctor": "check this installation and project, and print remedies",
    "clean": "remove files that are no longer needed",
}
EXAMPLES = """\
  piecewise train experiment=mnist_cnn
  piecewise train experiment=mnist_cnn optimizer=adamw optimizer.lr=3e-3 trainer.max_epochs=2
  piecewise train -m experiment=shallow_regression model.width=4,16,64 seed=0,1
"""
READ_ONLY = ("doctor", "watch")  # they report orphaned runs; other verbs end them first
QUIET_FLAGS = ("-q", "--quiet")
HELP = ("-h", "--help", "help")
COMPLETION = ("-sc", "--shell-completion")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if any(word in QUIET_FLAGS for word in words):
        process_settings.be_quiet()
    words = [word for word in words if word not in QUIET_FLAGS]
    if words[:1] == ["train"] and words[1:2] and words[1] in COMPLETION:  # as in Hydra's manual
        del words[0]
    return guarded(_run, *(words or HELP[:1]))


def usage() -> str:
    lines = [
        "piecewise runs deep-learning experiments that can be reproduced, varied and found again.",
        "A run trains one job, a frozen configuration. Every run is recorded in MLflow.",
        "`dvc repro` reproduces the shipped results; `piecewise train` is for everything else.",
        "",
        terminal.table([(terminal.paint(verb, "bold"), what) for verb, what in VERBS.items()], indent="  "),
        "",
        EXAMPLES.rstrip(),
        "",
        "piecewise VERB --help explains a verb; --quiet prints only results, warnings and errors.",
        "A RUN is named by its id, the beginning of its id, its title, its folder, or `last`: the newest run or sweep.",
    ]
    return "\n".join(lines) + "\n"


def guarded(function: Callable[..., int | None], *arguments: object) -> int:
    """Call `function`, and return its exit code (None is 0). An error becomes one line on stderr and its exit code.

    The files it writes are private to the user. With PIECEWISE_DEBUG set, the traceback is printed too.
    """
    process_settings.enter()
    try:
        with handle_signals():
            code = function(*arguments)
            sys.stdout.flush()
            return code or 0
    except BrokenPipeError:  # `piecewise list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (Exception, Stopped) as error:
        message = terminal.explain(error)
        if not (getattr(error, "is_reported", False) or (isinstance(error, Stopped) and is_silent())):
            terminal.fail(message)
        return int(error.code or 1) if isinstance(error, Stopped) else getattr(error, "exit_code", 1)


def _run(verb: str, *arguments: str) -> int:
    if verb in HELP:
        print(usage(), end="")
        return 0
    if verb in COMPLETION:
        return int(importlib.import_module("piecewise.commands.completion").main(list(arguments)) or 0)
    if verb not in VERBS:
        raise BadInput(f"piecewise has no verb {verb!r}; {nearest(verb, VERBS)}")
    from piecewise.tracking.sync.orphans import end_here

    command = importlib.import_module(f"piecewise.commands.{verb}")
    project, typed = Project.find(), Arguments(verb, command.__doc__, arguments, Path.cwd())
    os.chdir(project)  # paths in configurations are relative to the project's root
    if verb not in READ_ONLY:
        end_here(project)
    with contextlib.suppress(HelpPrinted):
        return int(command.main(project, typed) or 0)
    return 0
