"""Show the job of a command line and where each of its values comes from. Nothing is started.

  piecewise show experiment=mnist_cnn optimizer.lr=3e-3

The output is YAML; the origins are comments.
"""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import yaml

from piecewise import terminal
from piecewise.commands.arguments import Arguments
from piecewise.errors import BadInput
from piecewise.project import Project

if TYPE_CHECKING:
    from piecewise.planning.origins import Key, Origins

MAX_ALIGNED_WIDTH = 60  # the origin of a longer line stands further to the right than the others
ONE_JOB = "piecewise show shows one job: leave out -m and give each key one value"


def main(project: Project, arguments: Arguments) -> None:
    arguments.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="as for piecewise train")
    arguments.add_argument("-m", "--multirun", action="store_true", help=argparse.SUPPRESS)
    asked = arguments.read()
    if asked.multirun:
        raise BadInput(ONE_JOB)
    from piecewise.planning.origins import find_origins
    from piecewise.planning.plan import plan_command_line

    jobs = plan_command_line(project.conf, asked.overrides)  # reports every error as train does
    if len(jobs) != 1:
        raise BadInput(ONE_JOB)
    origins = find_origins(project.conf, asked.overrides)
    lines = list(_lines(jobs[0].frozen, (), origins))
    widths = [terminal.width(line) for line, _ in lines]
    aligned = max((width for width in widths if width <= MAX_ALIGNED_WIDTH), default=0)
    for (line, origin), width in zip(lines, widths, strict=True):
        print(line + " " * (aligned - width) + f"  {terminal.paint(f'# {origin}', 'dim')}" if origin else line)
    print(*_summary(jobs[0].digest, asked.overrides, origins.sweep()), sep="\n")


def _lines(config: dict[str, Any], above: Key, origins: Origins) -> Iterator[tuple[str, str]]:
    """Each key as (line, origin). A key with others below it has no value and no origin."""
    for name, value in config.items():
        key, indented = (*above, name), f"{'  ' * len(above)}{one_line_yaml(name)}:"
        if isinstance(value, dict) and value:
            yield indented, ""
            yield from _lines(value, key, origins)
        else:
            yield f"{indented} {terminal.paint(one_line_yaml(value), 'cyan')}", str(origins.of(key))


def one_line_yaml(value: Any) -> str:
    """A value as YAML on one line."""
    dumped = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=True, sort_keys=False)
    text = dumped.removesuffix("...\n").strip()
    return json.dumps(value) if "\n" in text else text


def _summary(digest: str, overrides: list[str], sweep: dict[str, Any]) -> list[str]:
    typed = shlex.join(overrides)
    rows = [("digest", digest), ("runs with", f"piecewise train {typed}".rstrip())]
    if sweep:
        values = " ".join(f"{key}={value}" for key, value in sweep.items())
        rows.append(("-m sweeps", values))
    return ["", terminal.paint(terminal.table(rows, indent="# "), "dim")]
