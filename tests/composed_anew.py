"""What planning must equal: each job composed anew by Hydra, and checked by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hydra.types import RunMode
from omegaconf import open_dict

from piecewise.errors import BadInput
from piecewise.jobs.job import Job
from piecewise.planning import plan
from piecewise.planning.compositions import Composition, Compositions
from piecewise.planning.freeze import Freezer
from piecewise.planning.plan import plan_command_line


class Anew(Compositions):
    def group_choices(self, overrides: Sequence[str]) -> tuple[str, ...]:
        return tuple(overrides)

    def compose(self, overrides: Sequence[str]) -> Composition:
        config = self._loader.load_configuration("config", list(overrides), RunMode.RUN)
        choices = dict(config.hydra.runtime.choices)
        with open_dict(config):
            del config["hydra"]
        return Composition(config, choices)


class FreshFreezer:
    def freeze(self, *arguments: object) -> Job:
        return Freezer().freeze(*arguments)  # type: ignore[arg-type]


def outcome(conf: Path, words: Sequence[str]) -> list[Job] | str:
    """The jobs of a command line, or the error that refuses it."""
    try:
        return plan_command_line(conf, words)
    except BadInput as error:
        return str(error)


def outcome_anew(conf: Path, words: Sequence[str]) -> list[Job] | str:
    """The same, if nothing is shared between jobs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "Compositions", Anew)
        patch.setattr(plan, "Freezer", FreshFreezer)
        return outcome(conf, words)
