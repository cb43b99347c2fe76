"""The words after `piecewise train`: overrides, -m, and Hydra's flags that print."""

import argparse
import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from hydra.main import main as hydra_main

from piecewise import process_settings
from piecewise.errors import BadInput, nearest

CONFIGURATIONS = "configurations come from the project's conf/"
# Flags of Hydra that piecewise lacks, with what to use instead.
REFUSED = {
    ("-cd", "--config-dir"): "name a folder of the project in hydra.searchpath of conf/config.yaml",
    ("-cp", "--config-path"): f"{CONFIGURATIONS}; run piecewise inside the project",
    ("-cn", "--config-name"): f"{CONFIGURATIONS}config.yaml; choose a file of conf/experiment by experiment=NAME",
    ("--experimental-rerun",): "piecewise resume RUN continues a run",
    ("-sc", "--shell-completion"): "piecewise -sc install=SHELL",
}
INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
OWN_FLAGS = ("--dry-run", "--quiet")  # read before these


@dataclass(frozen=True)
class CommandLine:
    """`printing` has the flags, with their values, that make Hydra print something instead of running jobs."""

    overrides: list[str]
    is_multirun: bool
    printing: list[str]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInput(f"piecewise train: {message}; piecewise train --hydra-help lists Hydra's flags")


def _parser() -> _Parser:
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("-m", "--multirun", action="store_true")
    parser.add_argument("-r", "--run", action="store_true")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--hydra-help", action="store_true")
    parser.add_argument("--version", action="store_true")
    parser.add_argument("-c", "--cfg", choices=("job", "hydra", "all"))
    parser.add_argument("-i", "--info", nargs="?", const="all", choices=INFO)
    parser.add_argument("-p", "--package")
    parser.add_argument("--resolve", action="store_true")
    return parser


def read_command_line(words: Sequence[str]) -> CommandLine:
    """Parse the words, in any order. Raises BadInput for flags that do not exist or do not go together."""
    for word in words:
        for flags, instead in REFUSED.items():
            if word.partition("=")[0] in flags:
                raise BadInput(f"{word} is not allowed; instead: {instead}")
    parser = _parser()
    asked, rest = parser.parse_known_intermixed_args(words)
    for flag in rest:
        if "=" in flag:
            raise BadInput(f"{flag} is no option; a KEY=VALUE has no hyphens before it: {flag.lstrip('-')}")
        allowed = [option for action in parser._actions for option in action.option_strings]
        raise BadInput(f"{flag} is no option; {nearest(flag, (*allowed, *OWN_FLAGS))}")
    for name in ("help", "hydra_help", "version"):  # with any other flag
        if getattr(asked, name):
            return CommandLine(asked.overrides, False, [f"--{name.replace('_', '-')}"])
    printing = [f"--{name}={value}" for name in ("cfg", "info") if (value := getattr(asked, name))]
    modes = [*(["--run"] if asked.run else []), *(["--multirun"] if asked.multirun else []), *printing]
    if len(modes) > 1:
        raise BadInput(f"{' and '.join(modes)} do not go together; allowed: one of them")
    for name in ("package", "resolve"):
        if getattr(asked, name) and not asked.cfg:
            raise BadInput(f"--{name} needs a configuration to print; allowed: with --cfg job")
    printing += [f"--package={asked.package}"] if asked.package else []
    return CommandLine(asked.overrides, asked.multirun, [*printing, *(["--resolve"] if asked.resolve else [])])


def print_with_hydra(conf: Path, asked: CommandLine) -> None:
    """Let Hydra print what a flag asks for. It runs no job. Raises BadInput if Hydra reports an error."""
    said = io.StringIO()
    with (
        _refused(said),
        contextlib.redirect_stderr(said),
        process_settings.command_line("piecewise train", *asked.printing, *asked.overrides),
        process_settings.environment(HYDRA_FULL_ERROR="1"),  # raise, instead of printing a stack and exiting with 1
    ):
        hydra_main(version_base=None, config_path=str(conf.resolve()), config_name="config")(lambda config: None)()


@contextlib.contextmanager
def _refused(said: io.StringIO) -> Iterator[None]:
    """Turn the end of the process with an error into BadInput; Hydra has written its message to `said`."""
    try:
        yield
    except SystemExit as end:
        if end.code:
            raise BadInput(" ".join(said.getvalue().split())) from end
        raise
