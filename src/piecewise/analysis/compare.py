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
from piecewise.figures.sweep import Point, heat_map, metric_over_axes, metric_over_axis
from piecewise.jobs.digests import canonical
from piecewise.journal.run_folder import RunFolder

MAX_LINES = 12  # in one figure
MAX_CELLS = 600  # of a heat map


def compare(folder: RunFolder, members: Sequence[Member], metric: str | None = None, draws: bool = True) -> list[str]:
    """Write a sweep's table, and its figures if it `draws`, to its folder; returns the names of the figures.

    The figures show `metric`; without it, the main metric. Metrics that mean different things get no figure.
    `left_out.json` lists what cannot be made.
    """
    measured = [member for member in members if member.metrics]
    if not members or len(members) == len(measured) == 1:
        return []
    extras = Extras(f"sweep of {members[0].job.name}")
    csv_table = extras.make(folder.table.name, lambda: table(members).encode())
    if csv_table is not None:
        write_atomic(folder.table, csv_table)
        if not folder.is_of_pipeline:
            (folder.figures / folder.table.name).unlink(missing_ok=True)  # where earlier versions wrote it
    if not draws:
        return []
    shown = metric or (main_metric(measured) if len(measured) > 1 else None)
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
    """CSV with a line for each job: its number, the keys that vary, its state, `val/nll` and every metric.

    Numbers have all their digits, and nothing depends on when or where a job ran: the same sweep has the same bytes.
    """
    varied = [key for key in _keys(members) if len({member.options.get(key) for member in members}) > 1]
    metrics = dict.fromkeys(key for member in members for key in member.measured)
    text = io.StringIO()
    writer = csv.DictWriter(text, ["number", *varied, "state", *metrics], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for number, member in enumerate(members):
        writer.writerow({**member.options, **member.measured, "number": number, "state": member.state})
    return text.getvalue()


def draw(members: Sequence[Member], metric: str) -> Drawings:
    """The metric over one varied key; over two also as a heat map; over more a panel for each. A seed is no axis.

    Two keys of which none has few values, as of a random search, get panels too.
    """
    members = [member for member in members if metric in member.metrics]
    values = {key: _values(members, key) for key in _keys(members) if key != SEED}
    axes = [key for key in values if len(values[key]) > 1]
    if not axes:
        return {}
    # The key with the most numeric values becomes the x axis; the other becomes lines.
    along, *others = sorted(axes, key=lambda key: (not _are_numbers(values[key]), -len(values[key])))
    if len(others) > 1 or (others and len(values[others[0]]) > MAX_LINES):
        return _panels(members, axes, metric)
    other = others[0] if others else ""
    seeds = _by_values(members, (along, other), metric)
    pairs = [(value, label) for label in values.get(other, [""]) for value in values[along] if (value, label) in seeds]
    lines: dict[str, list[Point]] = defaultdict(list)
    for value, label in pairs:
        lines[f"{other}={label}" if other else ""].append((_number(value), seeds[value, label]))
    drawings: Drawings = {"metric_over_axis": lambda: metric_over_axis(along, metric, lines)}
    if other and len(values[along]) * len(values[other]) <= MAX_CELLS:
        means = {pair: fmean(seeds[pair]) for pair in pairs}
        drawings["heat_map"] = lambda: heat_map((along, other), metric, means)
    return drawings


def _panels(members: Sequence[Member], axes: Sequence[str], metric: str) -> Drawings:
    means = {point: fmean(found) for point, found in _by_values(members, axes, metric).items()}
    points = [(tuple(_number(value) for value in point), mean) for point, mean in means.items()]
    return {"metric_over_axes": lambda: metric_over_axes(axes, metric, points)}


def _by_values(members: Sequence[Member], keys: Sequence[str], metric: str) -> dict[tuple[str, ...], list[float]]:
    """The metric of each seed, by the values of some keys."""
    found: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for member in members:
        found[tuple(member.options.get(key, "") for key in keys)].append(member.metrics[metric])
    return found


def _keys(members: Sequence[Member]) -> list[str]:
    """The keys of the labels, and `experiment` first if jobs of different experiments have the same label."""
    labels = {(member.job.label, member.job.name) for member in members}
    keys = dict.fromkeys(key for member in members for key in member.options if key != "experiment")
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
