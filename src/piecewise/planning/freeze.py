"""From one composed configuration to a frozen job."""

import unicodedata
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from piecewise.errors import BadInput
from piecewise.jobs.config import JobConfig
from piecewise.jobs.digests import canonical
from piecewise.jobs.job import Job
from piecewise.planning.explain import hydra_message
from piecewise.planning.hydra_settings import COMPUTED, leaves


def freeze(config: DictConfig, name: str, overrides: Sequence[str]) -> Job:
    """One composed configuration as a checked job.

    Raises BadInput, naming the key, if a value depends on the machine or the moment, is missing, is NaN or infinite,
    or cannot be used.
    """
    _refuse_control_characters(overrides)
    _refuse_computed_values(config)
    try:
        resolved: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True, enum_to_str=True)
        canonical(resolved)
    except OmegaConfBaseException as error:
        raise BadInput(hydra_message(error)) from error
    except ValueError as error:
        raise BadInput(f"{_first_non_finite(config)} must be a finite number") from error
    from piecewise.jobs.trainer import with_real_precision  # imports torch, which --help and completion do not need
    from piecewise.planning import check

    real, notes = with_real_precision(resolved)
    parts = check.check(JobConfig.parse(real))
    frozen = check.coerced(real)
    if frozen["batch_size"] == parts.num_train:
        frozen["batch_size"] = "all"  # the same batches
    return Job(name, tuple(overrides), frozen, tuple(notes))


def _refuse_control_characters(overrides: Sequence[str]) -> None:
    """They would break the lines of records and of the terminal; bytes that are no UTF-8 are such characters too."""
    for override in overrides:
        if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in override):
            raise BadInput(f"{override!r} has a control character; allowed: letters, digits, signs and spaces")


def _refuse_computed_values(config: DictConfig) -> None:
    for key, value in leaves(OmegaConf.to_container(config, resolve=False)):
        if isinstance(value, str) and COMPUTED.search(value):
            raise BadInput(
                f"{key}={value!r} depends on the machine or the moment and cannot be frozen into a job; "
                "instead: the value itself"
            )


def _first_non_finite(config: DictConfig) -> str:
    for key, value in leaves(OmegaConf.to_container(config, resolve=True)):
        if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
            return f"{key}={value}"
    return "a value"
