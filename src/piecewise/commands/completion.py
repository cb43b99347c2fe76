"""Completion in bash, zsh and fish: `eval "$(piecewise -sc install=bash)"`.

The script calls `piecewise -sc query=SHELL` with the typed line in COMP_LINE.
"""

import contextlib
import io
import os
import pkgutil
import re
from pathlib import Path

from piecewise import commands
from piecewise.errors import BadInput
from piecewise.project import Project

VERBS_WITH_OVERRIDES = ("train", "show")
VERBS_WITH_A_RUN = ("resume", "watch", "evaluate", "predict", "regions", "draw", "animate", "ui")
MULTIRUN = ("-m", "--multirun")
# Every other module of the package `commands` is a verb.
NO_VERBS = ("arguments", "completion", "dry_run", "sweep", "sweep_words")

# Bash expands the candidates: offering a value such as $(…) from a file would run it.
SAFE = re.compile(r"[\w=.,:/@%+~-]+")


def main(arguments: list[str]) -> None:
    command, _, shell = " ".join(arguments).partition("=")
    if command == "query":
        print(_answer(shell), end="")
    elif shell:
        from piecewise.planning.completion import script

        print(script(command, shell), end="")
    else:
        raise BadInput("-sc takes install=SHELL or uninstall=SHELL, with bash, zsh or fish as the shell")


def _answer(shell: str) -> str:
    """The candidates in the format of the shell; empty after any error: a message would garble the prompt."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            found = [word for word in complete(os.environ["COMP_LINE"]) if SAFE.fullmatch(word)]
        except (Exception, SystemExit):  # Hydra exits if it cannot read its arguments
            return ""
    return ("\n" if shell == "fish" else " ").join(found) + "\n" if found else ""


def complete(line: str) -> list[str]:
    """The candidates for the last word of `line`; after a space a new word begins."""
    words = line.split()[1:]
    typed = words.pop() if words and not line[-1].isspace() else ""
    verb, *rest = [word for word in words if not word.startswith("-") or word in MULTIRUN] or [""]
    if verb in VERBS_WITH_OVERRIDES:
        from piecewise.planning.completion import complete_overrides

        os.chdir(Project.find())  # paths in overrides are relative to it
        return complete_overrides(Path("conf"), " ".join([*rest, typed]))
    return [] if rest else [word for word in _first_words(verb, typed) if word.startswith(typed)]


def _first_words(verb: str, typed: str) -> list[str]:
    """The candidates for the word after `verb`; if that is empty, the verbs."""
    if not verb:
        return [module.name for module in pkgutil.iter_modules(commands.__path__) if module.name not in NO_VERBS]
    if verb == "list":
        from piecewise.jobs.about import groups

        return groups(Project.find().conf)
    return _runs(Project.find() / "runs", typed) if verb in VERBS_WITH_A_RUN else []


def _runs(runs: Path, typed: str) -> list[str]:
    """`last` and the folders of runs, newest first; after `SWEEP/`, the folders of its jobs."""
    journals = runs.glob("*/*/journal.jsonl" if "/" in typed else "*/journal.jsonl")
    return ["last", *sorted((path.parent.relative_to(runs).as_posix() for path in journals), reverse=True)]
