"""The report: one self-contained page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from piecewise.analysis.compare import Member, compare
from piecewise.analysis.draw import draw_run
from piecewise.durable import write_atomic
from piecewise.journal.run_folder import SWEEP, RunFolder
from piecewise.project import Project
from piecewise.report.inline import Inline, inline
from piecewise.report.provenance import provenance
from piecewise.report.results import Result, collect
from piecewise.report.runs import Group

MAX_OPEN = 2  # figures of a group that are visible; a click unfolds the others


@dataclass(frozen=True)
class GroupView:
    """A group as the page shows it: its figures, its configuration and the provenance of each run."""

    title: str
    figures: list[Inline]
    folded: list[Inline]
    config: str
    provenance: list[tuple[str, dict[str, str]]]


@dataclass(frozen=True)
class Section:
    """An experiment as the page shows it."""

    result: Result
    comparison: list[Inline]
    groups: list[GroupView]


def write_report(project: Project) -> Path:
    """Draw every run's figures and write `report/index.html`. The same results give the same bytes."""
    sections = [_section(result) for result in collect(project)]
    environment = Environment(
        loader=PackageLoader("piecewise.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html").render(sections=sections)
    path = project.report / "index.html"
    write_atomic(path, page.encode())
    return path


def _section(result: Result) -> Section:
    groups = [_group(result.name, group) for group in result.groups]
    folder = RunFolder.of_stage(result.name, SWEEP)
    members = [Member(run.job, run.metrics) for group in result.groups for run in group.runs]
    names = compare(folder, members, result.rows[0].metric if result.rows else None)
    return Section(result, [_read(folder, name, result.name) for name in names], groups)


def _group(experiment: str, group: Group) -> GroupView:
    """Draw the figures of all runs; the page shows those of the first."""
    names, *_ = [draw_run(run.folder) for run in group.runs]
    first = group.runs[0]
    figures = [_read(first.folder, name, f"{experiment}-{first.job.folder_name}") for name in names]
    return GroupView(
        first.job.label or "one run",
        figures[:MAX_OPEN],
        figures[MAX_OPEN:],
        yaml.safe_dump(first.job.frozen, sort_keys=True, allow_unicode=True),
        [(run.job.label or run.job.name, provenance(run)) for run in group.runs],
    )


def _read(folder: RunFolder, name: str, owner: str) -> Inline:
    ids = "".join(letter if letter.isalnum() else "-" for letter in f"{owner}-{name}")
    return inline((folder.figures / f"{name}.svg").read_text(), ids)
