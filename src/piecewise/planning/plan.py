"""From Hydra's configurations to frozen jobs."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.main import main as hydra_main
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from piecewise.errors import BadInput, nearest
from piecewise.jobs.config import JobConfig
from piecewise.jobs.job import Job, canonical
from piecewise.planning.explain import hydra_message
from piecewise.planning.hydra_settings import COMPUTED, refuse_hydra_settings
from piecewise.planning.schema import Config

FLAGS = ("--cfg", "--help", "--hydra-help", "--info", "--multirun", "--package", "--resolve", "--run", "--version")
SHORT_FLAGS = ("-c", "-h", "-i", "-m", "-p", "-r")
# What may follow --cfg and --info.
# What a run's title and the command that repeats it leave out: its name says the one, and the other changes no number.
NOT_VARIED = re.compile(r"experiment=|\+*tracking[.=]")
FLAG_VALUES = ("job", "hydra", "all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


def register_schema() -> None:
    """Make the typed root known to Hydra as `schema`."""
    # Hydra copies the whole store for each group that its help names, half of the command's time; there is only one.
    ConfigStore.__deepcopy__ = lambda store, memo: store  # type: ignore[attr-defined]
    ConfigStore.instance().store(name="schema", node=Config)


def freeze(config: DictConfig, name: str, label: str = "") -> Job:
    """One composed configuration as a checked job.

    Raises BadInput, naming the key, if it resolves anything that another machine or moment would resolve otherwise,
    holds NaN or infinity, misses a value, or cannot be built.
    """
    _refuse_volatile_values(config)
    try:
        resolved: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True, enum_to_str=True)
        canonical(resolved)
    except OmegaConfBaseException as error:
        raise BadInput(hydra_message(error)) from error
    except ValueError as error:
        raise BadInput(f"{_first_non_finite(config)} must be a finite number") from error
    from piecewise.planning import check  # and with it torch, which neither --help nor completion can wait for

    check.check(JobConfig.parse(resolved))
    return Job(name, label, check.coerced(resolved))


def plan_experiment(conf: Path, experiment: str) -> list[Job]:
    """Every job of one experiment: the product of its `hydra.sweeper.params`. Raises BadInput."""
    refuse_hydra_settings(conf, ())
    register_schema()
    try:
        with initialize_config_dir(str(conf.resolve()), version_base=None):
            chosen = [f"experiment={experiment}"]
            whole = compose("config", overrides=chosen, return_hydra_config=True)
            params = OmegaConf.to_container(whole.hydra.sweeper, resolve=False).get("params") or {}  # type: ignore[union-attr]
            jobs = []
            for overrides in expand([f"{key}={value}" for key, value in params.items()]):
                config = compose("config", overrides=[*chosen, *overrides])
                jobs.append(freeze(config, experiment, ",".join(overrides)))
            return jobs
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise BadInput(hydra_message(error)) from error


def expand(overrides: list[str]) -> list[list[str]]:
    """The product of all comma-separated values, as Hydra's own sweeper forms it."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    return BasicSweeper.split_arguments(parsed, max_batch_size=None)[0]


def plan_command_line(conf: Path, arguments: list[str]) -> list[Job]:
    """The jobs that `piecewise train ARGUMENTS` asks for, all checked, none started. Raises BadInput.

    Hydra parses, composes and, with -m, sweeps; its task function only freezes.
    """
    refuse_hydra_settings(conf, arguments)
    register_schema()
    jobs: list[Job] = []
    problems: list[Exception] = []

    def task(config: DictConfig) -> None:
        hydra = HydraConfig.get()
        choices: Any = hydra.runtime.choices
        name = choices.experiment or f"{choices.data}-{choices.model}"
        changed = [item for item in hydra.overrides.task if not NOT_VARIED.match(item)]
        try:
            jobs.append(freeze(config, name, ",".join(changed)))
        except Exception as error:  # raised below: Hydra would print a line of its own before
            problems.append(error)

    # Overrides last, together: argparse takes only one row of them, wherever the flags stand.
    flags = [word for word in arguments if word.startswith("-") or word in FLAG_VALUES]
    for flag in flags:
        if flag.startswith("-") and flag.partition("=")[0] not in (*FLAGS, *SHORT_FLAGS):
            raise BadInput(f"{flag} is no option; {nearest(flag, (*FLAGS, '--dry-run', '--quiet'))}")
    overrides = [word for word in arguments if word not in flags]
    scratch = tempfile.TemporaryDirectory()  # where Hydra writes about a sweep: nothing is started here
    argv, sys.argv = sys.argv, ["piecewise train", *flags, *overrides, f"hydra.sweep.dir={scratch.name}"]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise, instead of printing a stack and leaving with 1
    try:
        hydra_main(version_base=None, config_path=str(conf.resolve()), config_name="config")(task)()
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise BadInput(hydra_message(error, arguments)) from error
    finally:
        sys.argv = argv
        scratch.cleanup()
    if problems:
        raise problems[0]
    return jobs


def _refuse_volatile_values(config: DictConfig) -> None:
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
