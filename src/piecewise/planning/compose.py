"""The files in build/ that the stages of `dvc repro` read."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from piecewise.durable import write_atomic, write_json
from piecewise.errors import BadInput
from piecewise.jobs.about import experiments, one_line, read_about
from piecewise.jobs.config import LATER_KEYS
from piecewise.jobs.config_folders import config_name, find_config
from piecewise.jobs.expectations import expectations
from piecewise.jobs.fetch_settings import read_fetch
from piecewise.jobs.job import Job, write_jobs
from piecewise.jobs.provenance import lock_digest
from piecewise.jobs.source import source_digest
from piecewise.journal.names import folder_name, is_valid
from piecewise.planning.expected import check_expectations
from piecewise.planning.plan import plan_experiment
from piecewise.project import Project

GENERATED = ("line", "curve_1d", "binary_1d", "mnist1d")


def compose(conf: Path, build: Path) -> list[str]:
    """Write the jobs of every experiment and all else that stages depend on; returns the errors.

    The file of an experiment that cannot be composed has the error instead of jobs: only its own stage fails.
    """
    fetched = read_fetch(conf)  # raises BadInput, so it comes before what takes seconds
    errors = []
    abouts: dict[str, dict[str, Any]] = {}
    tracking: str | None = None
    for name in experiments(conf):
        jobs: list[Job] = []
        message = None
        try:
            abouts[name] = read_about(conf, name)
            planned = plan_experiment(conf, name)
            check_expectations(expectations(abouts[name]), planned)
            jobs, tracking = planned, planned[0].config.tracking.uri
        except BadInput as error:
            message = str(error)
            abouts[name] = abouts.get(name, {}) | {"error": message}
            where = f"conf/experiment/{name}.yaml: "
            errors.append(f"{where}{message.removeprefix(where)}")
            if not is_valid(name):
                continue  # no stage can have its name, and another experiment's file may
        key = folder_name(name)
        write_jobs(build / "jobs" / f"{key}.json", name, [for_stage(job) for job in jobs], message)
        for stage in ("train", "evaluate"):
            _write_source(build / "source" / stage / f"{key}.txt", stage, *(job.frozen for job in jobs))
    write_json(build / "about.json", abouts)
    write_json(build / "tracking.json", {"uri": tracking})
    write_json(build / "fetch.json", fetched)
    for name in GENERATED:
        key, options = folder_name(name), read_group(conf, "data", name)
        write_json(build / "data" / f"{key}.json", options)
        _write_source(build / "source" / "synthesise" / f"{key}.txt", "synthesise", options)
    for stage in ("fetch", "report"):
        _write_source(build / "source" / f"{stage}.txt", stage)
    write_atomic(build / "lock.txt", f"{lock_digest()}\n".encode())
    return errors


def _write_source(path: Path, stage: str, *configs: Mapping[str, Any]) -> None:
    """Write the digest of all that a stage runs for jobs or data sets with these configurations, with its script."""
    digest = source_digest(stage, *configs, script=Project().scripts / f"{stage}.py")
    write_atomic(path, f"{digest}\n".encode())


def for_stage(job: Job) -> Job:
    """The job without what describes it or says how a sweep runs: changing that must not run a stage again."""
    return replace(job, frozen=job.frozen | {"about": {}, "tracking": None} | LATER_KEYS)


def read_group(conf: Path, group: str, name: str) -> dict[str, Any]:
    """The options in a group's file."""
    path = find_config(conf, f"{group}/{name}.yaml")
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise BadInput(f"{config_name(conf, path)}: {one_line(error)}") from error
    if not isinstance(content, dict):
        raise BadInput(f"{config_name(conf, path)} has no options")
    return content
