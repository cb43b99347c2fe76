"""The jobs of an experiment and of a command line, composed by Hydra."""

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
from piecewise.jobs.job import Job
from piecewise.planning.explain import hydra_message
from piecewise.planning.freeze import freeze
from piecewise.planning.hydra_internals import shared_config_store
from piecewise.planning.hydra_settings import refuse_hydra_settings
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
