"""What passes between the stages of `dvc repro`: everything `compose` writes below build/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from piecewise.durable import write_atomic, write_json
from piecewise.errors import BadInput, nearest
from piecewise.jobs.about import experiments, read_about
from piecewise.jobs.config_folders import config_name, find_config
from piecewise.jobs.job import Job, write_jobs
from piecewise.jobs.source import CLOSURES, source_digest
from piecewise.planning.plan import plan_experiment

GENERATED = ("line", "curve_1d", "binary_1d", "mnist1d")
SOURCES = ("torchvision", "npm", "folder")


def compose(conf: Path, build: Path) -> list[str]:
    """Freeze every experiment and everything else the stages depend on; returns what could not be composed.

    An experiment that cannot be composed gets a file that says so: its own stage fails, the others do not.
    """
    problems = []
    abouts = {}
    tracking: str | None = None
    for name in experiments(conf):
        jobs: list[Job] = []
        problem = None
        try:
            abouts[name] = read_about(conf, name)
            jobs = plan_experiment(conf, name)
            tracking = jobs[0].config.tracking.uri
        except BadInput as error:
            problem = str(error)
            problems.append(f"conf/experiment/{name}.yaml: {error}")
        write_jobs(build / "jobs" / f"{name}.json", name, [for_stage(job) for job in jobs], problem)
    write_json(build / "about.json", abouts)
    write_json(build / "tracking.json", {"uri": tracking})
    write_json(build / "fetch.json", read_fetch(conf))
    for name in GENERATED:
        write_json(build / "data" / f"{name}.json", read_group(conf, "data", name))
    for closure in CLOSURES:
        write_atomic(build / "source" / f"{closure}.txt", f"{source_digest(closure)}\n".encode())
    return problems


def for_stage(job: Job) -> Job:
    """The job without what must not make a stage run again: its description, and where it is tracked."""
    return Job(job.name, job.label, job.frozen | {"about": {}, "tracking": None})


def read_group(conf: Path, group: str, name: str) -> dict[str, Any]:
    """The options in a group's file."""
    path = find_config(conf, f"{group}/{name}.yaml")
    content = yaml.safe_load(path.read_text())
    if not isinstance(content, dict):
        raise BadInput(f"{config_name(conf, path)} has no options")
    return content


def read_fetch(conf: Path) -> dict[str, Any]:
    """Where MNIST may come from. Raises BadInput for a source that does not exist."""
    mnist = yaml.safe_load(find_config(conf, "fetch.yaml").read_text())["mnist"]
    for source in mnist["sources"]:
        if source not in SOURCES:
            raise BadInput(f"conf/fetch.yaml: mnist.sources has {source!r}; {nearest(source, SOURCES)}")
    return {"sources": mnist["sources"], "folder": mnist["folder"]}
