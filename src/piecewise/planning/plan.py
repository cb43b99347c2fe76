"""The jobs of an experiment and of a command line, composed by Hydra."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from piecewise import terminal
from piecewise.errors import BadInput
from piecewise.jobs.about import groups
from piecewise.jobs.config_folders import find_config
from piecewise.jobs.job import Job
from piecewise.journal.names import check_name
from piecewise.planning.choices import check_choices
from piecewise.planning.command_line import print_with_hydra, read_command_line
from piecewise.planning.compositions import Compositions
from piecewise.planning.explain import hydra_message, not_utf_8
from piecewise.planning.freeze import Freezer
from piecewise.planning.hydra_internals import shared_config_store
from piecewise.planning.hydra_settings import refuse_hydra_settings
from piecewise.planning.schema import Config
from piecewise.planning.sweep import expand, refuse_different, refuse_equal_jobs, refuse_sweeps


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
    faults = refuse_hydra_settings(conf, ())
    return _plan(conf, [f"experiment={experiment}"], True, faults)


def plan_command_line(conf: Path, arguments: Sequence[str]) -> list[Job]:
    """The jobs of `piecewise train ARGUMENTS`, all checked, none started. Raises BadInput.

    There is at least one, unless a flag such as --cfg only prints.
    """
    asked = read_command_line(arguments)
    faults = refuse_hydra_settings(conf, asked.overrides)
    if asked.printing:
        with composing(conf) as loader:
            _refuse_faulty(conf, loader, asked.overrides, faults)
        with _errors_explained(conf, arguments), shared_config_store():
            _register_schema()
            print_with_hydra(conf, asked)
        return []
    return _plan(conf, asked.overrides, asked.is_multirun, faults)


def _refuse_faulty(
    conf: Path, loader: ConfigLoader, overrides: list[str], faults: Mapping[Path, BadInput], mode: RunMode = RunMode.RUN
) -> None:
    """Raise the error of a file that Hydra would read for these overrides. `faults` has the errors by file."""
    if not faults:
        return
    try:
        read = loader.compute_defaults_list("config", overrides, mode).defaults
    except (HydraException, OmegaConfBaseException, YAMLError, UnicodeDecodeError):
        used = set(faults)  # unknown, and the message of this error could quote what a faulty file computes
    else:
        names = [str(default.config_path).lstrip("/").removesuffix(".yaml") for default in read]
        used = {find_config(conf, f"{name}.yaml").resolve() for name in names}
    for path in sorted(used & set(faults), key=lambda path: path.stem not in " ".join(overrides)):
        raise faults[path]


def _noted(jobs: list[Job]) -> list[Job]:
    """The jobs; says once each way in which they differ from what was asked for."""
    for note in dict.fromkeys(note for job in jobs for note in job.notes):
        terminal.warn(note)
    return jobs


def _plan(conf: Path, overrides: list[str], is_multirun: bool, faults: Mapping[Path, BadInput]) -> list[Job]:
    """At least one job, in the order of Hydra's own sweeper. `faults` has the errors of files that none may use."""
    with _errors_explained(conf, overrides), composing(conf) as loader:
        check_choices(conf, overrides)
        compositions, freezer = Compositions(loader), Freezer()
        if not is_multirun:
            refuse_sweeps(overrides)
            _refuse_faulty(conf, loader, overrides, faults)
            return _noted([_job(compositions, freezer, overrides)])
        _refuse_faulty(conf, loader, overrides, faults, RunMode.MULTIRUN)
        params: Any = loader.load_configuration("config", overrides, RunMode.MULTIRUN).hydra.sweeper.params
        swept = [f"{key}={values}" for key, values in (params or {}).items()]
        combinations = expand(conf, [*swept, *overrides])
        check_choices(conf, chain.from_iterable(combinations))
        first = {compositions.group_choices(chosen): chosen for chosen in reversed(combinations)}
        for chosen in reversed(first.values()):
            _refuse_faulty(conf, loader, chosen, faults)
        jobs = []
        for chosen in combinations:
            try:
                with _errors_explained(conf, chosen):
                    jobs.append(_job(compositions, freezer, chosen))
            except BadInput as error:
                raise _with_options(error, conf, chosen, combinations) from error
    refuse_different(jobs)
    refuse_equal_jobs(jobs)
    return _noted(jobs)


@contextmanager
def _errors_explained(conf: Path, overrides: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise BadInput(hydra_message(error, overrides, conf)) from error
    except UnicodeDecodeError as error:
        raise BadInput(f"not UTF-8, save as UTF-8: {', '.join(not_utf_8(conf))}") from error


def _with_options(error: BadInput, conf: Path, chosen: list[str], combinations: Iterable[list[str]]) -> BadInput:
    """The error of one job of a sweep; it also names the options of groups by which the job differs from others."""
    known, shared = groups(conf), set(chosen).intersection(*combinations)
    differing = [text for text in chosen if text.partition("=")[0] in known and text not in shared]
    missing = [text for text in differing if text not in str(error)]
    return BadInput(f"{error} (with {' '.join(missing)})" if missing else str(error))


def _job(compositions: Compositions, freezer: Freezer, overrides: list[str]) -> Job:
    """The job that Hydra composes, named by what was chosen."""
    config, choices = compositions.compose(overrides)
    experiment, data, model = (choices.get(group) for group in ("experiment", "data", "model"))
    name = experiment or f"{data}-{model}"
    check_name(name, f"experiment={name}" if experiment else f"data={data} model={model}")
    return freezer.freeze(config, name, overrides)
