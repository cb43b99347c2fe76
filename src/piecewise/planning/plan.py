"""From Hydra's configurations to frozen jobs."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.main import main as hydra_main
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from piecewise import process_settings
from piecewise.errors import BadInput, nearest
from piecewise.jobs.config import JobConfig
from piecewise.jobs.job import Job, canonical
from piecewise.planning.explain import hydra_message
from piecewise.planning.hydra_internals import shared_config_store
from piecewise.planning.hydra_settings import COMPUTED, refuse_hydra_settings
from piecewise.planning.schema import Config

FLAGS = ("--cfg", "--help", "--hydra-help", "--info", "--multirun", "--package", "--resolve", "--run", "--version")
SHORT_FLAGS = ("-c", "-h", "-i", "-m", "-p", "-r")
FLAG_VALUES = ("job", "hydra", "all", "config", "defaults", "defaults-tree", "plugins", "searchpath")  # --cfg, --info
# Overrides that a job's label leaves out: its name has the experiment, and tracking changes no result.
UNLABELLED = re.compile(r"experiment=|\+*tracking[.=]")


@contextmanager
def composing(conf: Path) -> Iterator[ConfigLoader]:
    """Let Hydra compose the configurations in `conf`, with the typed root as `schema`."""
    _register_schema()
    with shared_config_store(), initialize_config_dir(str(conf.resolve()), version_base=None):
        yield GlobalHydra.instance().config_loader()


def _register_schema() -> None:
    ConfigStore.instance().store(name="schema", node=Config)


def freeze(config: DictConfig, name: str, label: str = "") -> Job:
    """One composed configuration as a checked job.

    Raises BadInput, naming the key, if a value depends on the machine or the moment, is missing, is NaN or infinite,
    or cannot be used.
    """
    _refuse_computed_values(config)
    try:
        resolved: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True, enum_to_str=True)
        canonical(resolved)
    except OmegaConfBaseException as error:
        raise BadInput(hydra_message(error)) from error
    except ValueError as error:
        raise BadInput(f"{_first_non_finite(config)} must be a finite number") from error
    from piecewise.planning import check  # imports torch, which --help and completion do not need

    check.check(JobConfig.parse(resolved))
    return Job(name, label, check.coerced(resolved))


def plan_experiment(conf: Path, experiment: str) -> list[Job]:
    """Every job of one experiment: the product of its `hydra.sweeper.params`. Raises BadInput."""
    refuse_hydra_settings(conf, ())
    try:
        with composing(conf):
            chosen = [f"experiment={experiment}"]
            whole: Any = compose("config", overrides=chosen, return_hydra_config=True)
            params: Any = OmegaConf.to_container(whole.hydra.sweeper, resolve=False)
            jobs = []
            for overrides in expand([f"{key}={value}" for key, value in (params.get("params") or {}).items()]):
                config = compose("config", overrides=[*chosen, *overrides])
                jobs.append(freeze(config, experiment, ",".join(overrides)))
            return jobs
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise BadInput(hydra_message(error)) from error


def expand(overrides: list[str]) -> list[list[str]]:
    """The product of all comma-separated values, in the order of Hydra's own sweeper."""
    choices = {}
    for override in OverridesParser.create().parse_overrides(overrides):
        key, is_swept = override.get_key_element(), override.is_sweep_override()
        values = override.sweep_string_iterator() if is_swept else [override.get_value_element_as_str()]
        choices[key] = [f"{key}={value}" for value in values]
    return [list(chosen) for chosen in product(*choices.values())]


def plan_command_line(conf: Path, arguments: list[str]) -> list[Job]:
    """The jobs of `piecewise train ARGUMENTS`, all checked, none started. Raises BadInput.

    Hydra parses, composes and, with -m, sweeps. Its task function freezes one job and trains nothing.
    """
    refuse_hydra_settings(conf, arguments)
    _register_schema()
    jobs: list[Job] = []
    errors: list[Exception] = []

    def task(config: DictConfig) -> None:
        try:
            jobs.append(_freeze_composed(config))
        except Exception as error:  # raised below: if Hydra sees it, Hydra prints a line of its own
            errors.append(error)

    try:
        with (
            tempfile.TemporaryDirectory() as scratch,  # where Hydra writes the settings of a sweep
            process_settings.command_line("piecewise train", *_flags_first(arguments), f"hydra.sweep.dir={scratch}"),
            process_settings.environment(HYDRA_FULL_ERROR="1"),  # raise, instead of printing a stack and exiting with 1
            shared_config_store(),
        ):
            hydra_main(version_base=None, config_path=str(conf.resolve()), config_name="config")(task)()
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise BadInput(hydra_message(error, arguments)) from error
    if errors:
        raise errors[0]
    return jobs


def _freeze_composed(config: DictConfig) -> Job:
    """The job that Hydra has just composed, named and labelled by what was chosen."""
    hydra: Any = HydraConfig.get()
    choices = hydra.runtime.choices
    name = choices.experiment or f"{choices.data}-{choices.model}"
    return freeze(config, name, ",".join(item for item in hydra.overrides.task if not UNLABELLED.match(item)))


def _flags_first(arguments: list[str]) -> list[str]:
    """The arguments with their overrides last: argparse reads only one unbroken row of them. Raises BadInput."""
    flags = [argument for argument in arguments if argument.startswith("-") or argument in FLAG_VALUES]
    for flag in flags:
        if flag.startswith("-") and flag.partition("=")[0] not in (*FLAGS, *SHORT_FLAGS):
            raise BadInput(f"{flag} is no option; {nearest(flag, (*FLAGS, '--dry-run', '--quiet'))}")
    return [*flags, *(argument for argument in arguments if argument not in flags)]


def _refuse_computed_values(config: DictConfig) -> None:
    for key, value in _leaves(OmegaConf.to_container(config, resolve=False)):
        if isinstance(value, str) and COMPUTED.search(value):
            raise BadInput(f"{key}={value!r} depends on the machine or the moment and cannot be frozen into a job")


def _first_non_finite(config: DictConfig) -> str:
    for key, value in _leaves(OmegaConf.to_container(config, resolve=True)):
        if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
            return f"{key}={value}"
    return "a value"


def _leaves(value: Any, key: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [leaf for name, item in value.items() for leaf in _leaves(item, f"{key}.{name}" if key else str(name))]
    if isinstance(value, list):
        return [leaf for index, item in enumerate(value) for leaf in _leaves(item, f"{key}[{index}]")]
    return [(key, value)]
