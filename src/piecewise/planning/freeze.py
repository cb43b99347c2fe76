"""From one composed configuration to a frozen job."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from piecewise.errors import BadInput
from piecewise.jobs.config import JobConfig
from piecewise.jobs.digests import canonical
from piecewise.jobs.job import Job
from piecewise.planning.explain import hydra_message
from piecewise.planning.hydra_settings import COMPUTED, leaves

if TYPE_CHECKING:
    from piecewise.planning.check import Checks


class Freezer:
    """Makes the jobs of one plan of composed configurations. What several jobs have in common is checked once."""

    @cached_property
    def _checks(self) -> Checks:
        from piecewise.planning.check import Checks  # imports torch, which --help and completion do not need

        return Checks()

    def freeze(self, config: DictConfig, name: str, overrides: Sequence[str]) -> Job:
        """One composed configuration as a checked job.

        Raises BadInput, naming the key, if a value depends on the machine or the moment, is missing, is NaN or
        infinite, or cannot be used.
        """
        _refuse_control_characters(overrides)
        written: Any = OmegaConf.to_container(config, resolve=False, enum_to_str=True)
        refers = _refers(written)
        try:
            resolved = _resolved(config) if refers else written
            canonical(resolved)
        except OmegaConfBaseException as error:
            raise BadInput(hydra_message(error)) from error
        except ValueError as error:
            raise BadInput(f"{_first_non_finite(config)} must be a finite number") from error
        checks = self._checks
        from piecewise.jobs.trainer import with_real_precision

        real, notes = with_real_precision(resolved)
        parts = checks.check(JobConfig.parse(real))
        frozen = checks.coerced(real)
        if frozen["batch_size"] == parts.num_train:
            frozen["batch_size"] = "all"  # the same batches
        return Job(name, tuple(overrides), frozen, tuple(notes))


def _refuse_control_characters(overrides: Sequence[str]) -> None:
    """They would break the lines of records and of the terminal; bytes that are no UTF-8 are such characters too."""
    for override in overrides:
        if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in override):
            raise BadInput(f"{override!r} has a control character; allowed: letters, digits, signs and spaces")


def _refers(written: dict[str, Any]) -> bool:
    """Whether a value refers to another one, or is missing. Raises BadInput for one that is computed."""
    texts = [(key, value) for key, value in leaves(written) if isinstance(value, str)]
    for key, value in texts:
        if COMPUTED.search(value):
            raise BadInput(
                f"{key}={value!r} depends on the machine or the moment and cannot be frozen into a job; "
                "instead: the value itself"
            )
    return any("${" in value or value == MISSING for _, value in texts)


def _resolved(config: DictConfig) -> Any:
    return OmegaConf.to_container(config, resolve=True, throw_on_missing=True, enum_to_str=True)


def _first_non_finite(config: DictConfig) -> str:
    for key, value in leaves(OmegaConf.to_container(config, resolve=True)):
        if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
            return f"{key}={value}"
    return "a value"
