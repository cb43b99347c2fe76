"""The report: one self-contained page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from piecewise.analysis.compare import compare
from piecewise.analysis.draw import draw_run
from piecewise.durable import write_atomic
from piecewise.journal.run_folder import SWEEP, RunFolder
from piecewise.project import Project
from piecewise.report.inline import inline
from piecewise.report.provenance import provenance
from piecewise.report.results import Result, collect
from piecewise.report.runs import Group


@dataclass(frozen=True)
class Section:
    """An experiment as the page shows it. Figures are SVG elements."""

    result: Result
    comparison: list[str]
    groups: list[tuple[Group, list[str]]]  # each with its figures


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
    environment.filters |= {"yaml": _as_yaml, "provenance": provenance}
    page = environment.get_template("page.html").render(sections=sections)
    path = project.report / "index.html"
    write_atomic(path, page.encode())
    return path


def _section(result: Result) -> Section:
    folder = RunFolder.of_stage(result.name, SWEEP)
    members = [run for group in result.groups for run in group.runs]
    names = compare(folder, members, result.rows[0].metric if result.rows else None)
    groups = [(group, _figures(result.name, group)) for group in result.groups]
    return Section(result, [_read(folder, name, result.name) for name in names], groups)


def _figures(experiment: str, group: Group) -> list[str]:
    """Draw the figures of all runs; the page shows those of the first."""
    names, *_ = [draw_run(run.folder) for run in group.runs]
    first = group.runs[0]
    return [_read(first.folder, name, f"{experiment}-{first.job.folder_name}") for name in names]


def _read(folder: RunFolder, name: str, owner: str) -> str:
    ids = "".join(letter if letter.isalnum() else "-" for letter in f"{owner}-{name}")
    return inline((folder.figures / f"{name}.svg").read_text(), ids)


def _as_yaml(config: dict[str, Any]) -> str:
    return yaml.safe_dump(config, sort_keys=True, allow_unicode=True)
