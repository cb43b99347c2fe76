"""The report: one self-contained page."""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from piecewise import terminal
from piecewise.analysis.compare import compare
from piecewise.analysis.draw import draw_run
from piecewise.durable import read_json, write_atomic
from piecewise.extras import Extras
from piecewise.jobs.digests import canonical_digest
from piecewise.jobs.job import Job
from piecewise.journal.names import folder_name
from piecewise.journal.reader import read_journal
from piecewise.journal.records import End, Start
from piecewise.journal.run_folder import SWEEP, RunFolder, read_result
from piecewise.project import Project
from piecewise.report.inline import inline
from piecewise.report.results import Result, collect
from piecewise.report.runs import Group, Run

CHANGES = {"true": " with changes", "unknown": ", perhaps with changes"}  # by the tag git.dirty
DIGEST_CHARACTERS = 12  # shown of a digest


def write_report(project: Project) -> Path:
    """Draw every run's figures and write `report/index.html`. The same recorded runs give the same bytes."""
    environment = Environment(
        loader=PackageLoader("piecewise.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"comparison": _comparison, "drawn": _drawn, "provenance": _provenance}
    environment.filters["yaml"] = partial(yaml.safe_dump, allow_unicode=True)
    page = environment.get_template("page.html").render(results=collect(project))
    path = project.report / "index.html"
    write_atomic(path, page.encode())
    return path


@dataclass(frozen=True)
class Shown:
    """SVG elements, and a line for each figure or other extra that is left out."""

    figures: list[str]
    left_out: list[str]


def _comparison(result: Result) -> Shown:
    """Draw figures that compare an experiment's runs."""
    folder, extras = RunFolder.of_stage(result.name, SWEEP), Extras(result.name)
    members = [run for group in result.groups for run in group.runs]
    metric = result.rows[0].metric if result.rows else None
    names = extras.make("comparison", lambda: compare(folder, members, metric)) or []
    return Shown(_read_all(folder, names, folder_name(result.name), extras), _left_out(folder, extras))


def _owner(job: Job) -> str:
    """The beginning of the ids in a job's figures. Signs and letters of other alphabets would end up as the same id."""
    return f"{folder_name(job.name)}-{canonical_digest(job.folder_name)[:DIGEST_CHARACTERS]}"


def _drawn(group: Group) -> Shown:
    """Draw the figures of all runs; those of the first are shown."""
    figures, left_out = [], []
    for number, run in enumerate(group.runs):
        extras = Extras(run.job.title)
        names = extras.make("every figure", partial(draw_run, run.folder)) or []
        if number == 0:
            figures = _read_all(run.folder, names, _owner(run.job), extras)
        left_out += [f"{run.job.title}: {line}" for line in _left_out(run.folder, extras)]
    return Shown(figures, left_out)


def _read_all(folder: RunFolder, names: list[str], owner: str, extras: Extras) -> list[str]:
    found = [extras.make(name, partial(_read, folder, name, owner)) for name in names]
    return [svg for svg in found if svg is not None]


def _left_out(folder: RunFolder, extras: Extras) -> list[str]:
    reasons = (read_json(folder.left_out) if folder.left_out.is_file() else {}) | extras.left_out
    return [f"{name} is left out: {reason}" for name, reason in reasons.items()]


def _read(folder: RunFolder, name: str, owner: str) -> str:
    ids = "".join(letter if letter.isalnum() or letter == "_" else "-" for letter in f"{owner}-{name}")
    return inline((folder.figures / f"{name}.svg").read_text("utf-8"), ids)


def _provenance(run: Run) -> dict[str, str]:
    """Where a run's numbers come from, by name: digests of inputs and outputs, numerics, commit and times."""
    extras = Extras(run.job.title)
    return extras.make("provenance", lambda: _facts(run)) or extras.left_out


def _facts(run: Run) -> dict[str, str]:
    result = read_result(run.folder)
    digests = {"job digest": result["job_digest"], "run key": result["run_key"]}
    digests |= {f"{name} digest": digest for name, digest in result["digests"].items()}
    digests["weights digest"] = result["weights_digest"]
    record = read_journal(run.folder.journal)
    return {
        **{name: digest[:DIGEST_CHARACTERS] for name, digest in digests.items()},
        "weights kept": f"{result['selected']}: step {result['selected_step']:,} of {result['steps']:,}",
        "examples": f"{result['num_train']:,} to train, {result['num_val']:,} to validate",
        "parameters": f"{result['num_parameters']:,}",
        "numerics": _numerics(result["numerics"]),
        **({} if record is None else _origin(record.start, record.end)),
    }


def _numerics(numerics: dict[str, Any]) -> str:
    processes = f", {numerics['world_size']} processes" if numerics["world_size"] > 1 else ""
    return (
        f"{numerics['device']}, {numerics['precision']}, torch {numerics['torch']}, "
        f"{numerics['threads']} thread{'s' * (numerics['threads'] > 1)}{processes}"
    )


def _origin(start: Start, end: End | None) -> dict[str, str]:
    commit = start.tags.get("git.commit", "")[:DIGEST_CHARACTERS]
    facts = {"started": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(start.time))}
    if end is not None:
        facts["took"] = terminal.duration(end.time - start.time)
    if commit:
        facts["commit"] = commit + CHANGES.get(start.tags.get("git.dirty", ""), "")
    repeated = {"repeat": command} if (command := start.tags.get("command")) else {}
    return facts | repeated | {"in MLflow": f"piecewise ui {start.id}"}
