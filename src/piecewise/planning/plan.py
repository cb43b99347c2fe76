"""The jobs of an experiment and of a command line, composed by Hydra."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from piecewise import terminal
from piecewise.errors import BadInput
from piecewise.jobs.job import Job
from piecewise.journal.names import check_name
from piecewise.planning.choices import check_choices
from piecewise.planning.command_line import print_with_hydra, read_command_line
from piecewise.planning.explain import hydra_message
from piecewise.planning.freeze import freeze
from piecewise.planning.hydra_internals import shared_config_store
from piecewise.planning.hydra_settings import refuse_hydra_settings
from piecewise.planning.schema import Config
from piecewise.planning.sweep import expand, refuse_equal_jobs, refuse_sweeps


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
    check_name(experiment, f"experiment={experiment}")
    refuse_hydra_settings(conf, ())
    return _plan(conf, [f"experiment={experiment}"], is_multirun=True)


def plan_command_line(conf: Path, arguments: Sequence[str]) -> list[Job]:
    """The jobs of `piecewise train ARGUMENTS`, all checked, none started. Raises BadInput.

    There is at least one, unless a flag such as --cfg only prints.
    """
    asked = read_command_line(arguments)
    refuse_hydra_settings(conf, asked.overrides)
    if asked.printing:
        with _errors_explained(arguments), shared_config_store():
            _register_schema()
            print_with_hydra(conf, asked)
        return []
    return _plan(conf, asked.overrides, asked.is_multirun)


def _noted(jobs: list[Job]) -> list[Job]:
    """The jobs; says once each way in which they differ from what was asked for."""
    for note in dict.fromkeys(note for job in jobs for note in job.notes):
        terminal.warn(note)
    return jobs


def _plan(conf: Path, overrides: list[str], is_multirun: bool) -> list[Job]:
    """At least one job, in the order of Hydra's own sweeper."""
    with _errors_explained(overrides), composing(conf) as loader:
        check_choices(conf, overrides)
        if not is_multirun:
            refuse_sweeps(overrides)
            return _noted([_job(loader, overrides)])
        params: Any = loader.load_configuration("config", overrides, RunMode.MULTIRUN).hydra.sweeper.params
        swept = [f"{key}={values}" for key, values in (params or {}).items()]
        combinations = expand(conf, [*swept, *overrides])
        check_choices(conf, chain.from_iterable(combinations))
        jobs = [_job(loader, chosen) for chosen in combinations]
    refuse_equal_jobs(jobs)
    return _noted(jobs)


@contextmanager
def _errors_explained(overrides: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise BadInput(hydra_message(error, overrides)) from error


def _job(loader: ConfigLoader, overrides: list[str]) -> Job:
    """The job that Hydra composes, named by what was chosen."""
    config: DictConfig = loader.load_configuration("config", overrides, RunMode.RUN)
    choices: Any = config.hydra.runtime.choices
    with open_dict(config):
        del config["hydra"]
    experiment, data, model = (choices.get(group) for group in ("experiment", "data", "model"))
    name = experiment or f"{data}-{model}"
    check_name(name, f"experiment={name}" if experiment else f"data={data} model={model}")
    return freeze(config, name, overrides)
