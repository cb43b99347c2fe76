"""The report: one self-contained page."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from piecewise.durable import write_atomic
from piecewise.report.results import Result, collect
from piecewise.runs.draw import draw_run


def write_report(root: Path) -> Path:
    """Draw every run's figures and write `report/index.html`; the same results give the same bytes."""
    results = collect(root)
    figures = {result.name: _figures(result) for result in results}
    environment = Environment(loader=PackageLoader("piecewise.report", "."), autoescape=True, undefined=StrictUndefined)
    page = environment.get_template("page.html").render(results=results, figures=figures)
    path = root / "report" / "index.html"
    write_atomic(path, page.encode())
    return path


def _figures(result: Result) -> list[tuple[str, str]]:
    """Draw all runs of an experiment; (caption, SVG) of the first run in each group."""
    shown = []
    for group in result.groups:
        for run in group.runs:
            names = draw_run(run.folder)
            if run is group.runs[0]:
                svg = (run.folder.figures / f"{names[0]}.svg").read_text()
                shown.append((f"{run.job.title}: {names[0].replace('_', ' ')}", svg[svg.index("<svg") :]))
    return shown
