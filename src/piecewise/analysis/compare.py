"""Compare the jobs of a sweep: a table, and figures of a metric over the keys that vary."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

from piecewise.analysis.draw import Drawings, write_figures, write_left_out
from piecewise.analysis.member import SEED, Member
from piecewise.durable import write_atomic
from piecewise.extras import Extras
from piecewise.figures.sweep import Point, heat_map, metric_over_axis
from piecewise.jobs.digests import canonical
from piecewise.journal.run_folder import RunFolder

TABLE = "results.csv"


def compare(folder: RunFolder, members: Sequence[Member], metric: str | None = None) -> list[str]:
    """Write a sweep's table and figures to its folder; returns the names of the figures.

    The figures show `metric`; without it, the main metric. Metrics that mean different things get no figure.
    `left_out.json` lists what cannot be made.
    """
    measured = [member for member in members if member.metrics]
    if len(measured) < 2:
        return []
    extras = Extras(f"sweep of {measured[0].job.name}")
    csv_table = extras.make(TABLE, lambda: table(measured).encode())
    if csv_table is not None:
        write_atomic(folder.figures / TABLE, csv_table)
    shown = metric or main_metric(measured)
    drawings = (extras.make("every figure of the sweep", lambda: draw(measured, shown)) or {}) if shown else {}
    written = write_figures(folder, drawings, extras)
    write_left_out(folder, extras)
    return written


def main_metric(members: Sequence[Member]) -> str | None:
    """The first score that all members have; without one `test/nll`, if they have the same loss; else None.

    The floor of the negative log-likelihood is a property of the data, not a score.
    """
    shared = [key for key in members[0].metrics if all(key in member.metrics for member in members)]
    score = next((key for key in shared if key.startswith("test/") and not key.startswith("test/nll")), None)
    losses = {canonical(member.job.frozen.get("loss")) for member in members}
    return score or ("test/nll" if "test/nll" in shared and len(losses) == 1 else None)


def table(members: Sequence[Member]) -> str:
    """CSV with a line for each job: the keys that vary, and every metric."""
    varied = [key for key in _keys(members) if len({member.options.get(key) for member in members}) > 1]
    metrics = list(dict.fromkeys(key for member in members for key in member.metrics))
    text = io.StringIO()
    writer = csv.DictWriter(text, [*varied, *metrics], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({**member.options, **member.metrics} for member in members)
    return text.getvalue()


def draw(members: Sequence[Member], metric: str) -> Drawings:
    """The metric over one varied key; over two also as a heat map. Seeds become the spread, not an axis."""
    members = [member for member in members if metric in member.metrics]
    axes = [key for key in _keys(members) if key != SEED and len(_values(members, key)) > 1]
    if len(axes) not in (1, 2):
        return {}
    # The key with the most numeric values becomes the x axis; the other becomes lines.
    values = {key: _values(members, key) for key in axes}
    along, other = (*sorted(axes, key=lambda key: (not _are_numbers(values[key]), -len(values[key]))), "")[:2]
    seeds: dict[tuple[str, str], list[float]] = defaultdict(list)  # the metric of each seed, by the keys' values
    for member in members:
        seeds[member.options.get(along, ""), member.options.get(other, "")].append(member.metrics[metric])
    pairs = [(value, label) for label in values.get(other, [""]) for value in values[along] if (value, label) in seeds]
    lines: dict[str, list[Point]] = defaultdict(list)
    for value, label in pairs:
        lines[f"{other}={label}" if other else ""].append((_number(value), seeds[value, label]))
    drawings: Drawings = {"metric_over_axis": lambda: metric_over_axis(along, metric, lines)}
    if other:
        means = {pair: fmean(seeds[pair]) for pair in pairs}
        drawings["heat_map"] = lambda: heat_map((along, other), metric, means)
    return drawings


def _keys(members: Sequence[Member]) -> list[str]:
    """The keys of the labels, and `experiment` first if jobs of different experiments have the same label."""
    labels = {(member.job.label, member.job.name) for member in members}
    keys = dict.fromkeys(key for member in members for key in member.job.values)
    return [*(["experiment"] if len(labels) > len({label for label, _ in labels}) else []), *keys]


def _values(members: Sequence[Member], key: str) -> list[str]:
    """Numbers in ascending order, other values in the order of the sweep."""
    values = list(dict.fromkeys(member.options[key] for member in members if key in member.options))
    return sorted(values, key=float) if _are_numbers(values) else values


def _are_numbers(values: Sequence[str]) -> bool:
    return all(isinstance(_number(value), float) for value in values)


def _number(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value
