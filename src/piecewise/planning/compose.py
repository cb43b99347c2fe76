"""The files in build/ that the stages of `dvc repro` read."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from piecewise.durable import write_atomic, write_json
from piecewise.errors import BadInput
from piecewise.jobs.about import experiments, read_about
from piecewise.jobs.config_folders import config_name, find_config
from piecewise.jobs.fetch_settings import read_fetch
from piecewise.jobs.job import Job, write_jobs
from piecewise.jobs.source import CLOSURES, source_digest
from piecewise.journal.names import folder_name, is_valid
from piecewise.planning.plan import plan_experiment

GENERATED = ("line", "curve_1d", "binary_1d", "mnist1d")


def compose(conf: Path, build: Path) -> list[str]:
    """Write the jobs of every experiment and all else that stages depend on; returns the errors.

    The file of an experiment that cannot be composed has the error instead of jobs: only its own stage fails.
    """
    errors = []
    abouts = {}
    tracking: str | None = None
    for name in experiments(conf):
        jobs: list[Job] = []
        message = None
        try:
            abouts[name] = read_about(conf, name)
            jobs = plan_experiment(conf, name)
            tracking = jobs[0].config.tracking.uri
        except BadInput as error:
            message = str(error)
            errors.append(f"conf/experiment/{name}.yaml: {error}")
            if not is_valid(name):
                continue  # no stage can have its name, and another experiment's file may
        write_jobs(build / "jobs" / f"{folder_name(name)}.json", name, [for_stage(job) for job in jobs], message)
    write_json(build / "about.json", abouts)
    write_json(build / "tracking.json", {"uri": tracking})
    write_json(build / "fetch.json", read_fetch(conf))
    for name in GENERATED:
        write_json(build / "data" / f"{folder_name(name)}.json", read_group(conf, "data", name))
    for closure in CLOSURES:
        write_atomic(build / "source" / f"{closure}.txt", f"{source_digest(closure)}\n".encode())
    return errors


def for_stage(job: Job) -> Job:
    """The job without its description and its tracking: changing those must not run a stage again."""
    return replace(job, frozen=job.frozen | {"about": {}, "tracking": None})


def read_group(conf: Path, group: str, name: str) -> dict[str, Any]:
    """The options in a group's file."""
    path = find_config(conf, f"{group}/{name}.yaml")
    content = yaml.safe_load(path.read_text("utf-8"))
    if not isinstance(content, dict):
        raise BadInput(f"{config_name(conf, path)} has no options")
    return content
