"""The evaluated runs of the pipeline, grouped over their seeds."""

import re
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from piecewise.analysis.current import is_evaluated
from piecewise.analysis.member import SEED, Member
from piecewise.durable import read_json
from piecewise.jobs.job import read_job
from piecewise.journal.names import folder_name
from piecewise.journal.run_folder import RunFolder
from piecewise.project import Project


@dataclass(frozen=True)
class Run(Member):
    """One evaluated job of the pipeline."""

    folder: RunFolder


@dataclass(frozen=True)
class Group:
    """Runs that differ by their seed alone."""

    label: str
    runs: list[Run]

    @property
    def metrics(self) -> list[str]:
        """Every metric that some run has."""
        return sorted({metric for run in self.runs for metric in run.metrics})

    def values(self, metric: str) -> list[float]:
        return [run.metrics[metric] for run in self.runs if metric in run.metrics]

    def mean(self, metric: str) -> float:
        return statistics.fmean(self.values(metric))


def read_runs(experiment: str) -> list[Run]:
    """The runs of one experiment that are evaluated; a run in training, or trained again since, is none of them."""
    paths = (Project().results / "evaluate" / folder_name(experiment)).glob("*/metrics.json")
    folders = [RunFolder.of_stage(experiment, path.parent.name) for path in sorted(paths, key=_by_number)]
    return [Run(read_job(one.job), read_json(one.metrics), one) for one in folders if is_evaluated(one)]


def _by_number(path: Path) -> list[tuple[float, str]]:
    """A sort key that reads digits as numbers: 3 comes before 20."""
    words = re.findall(r"\d+(?:\.\d+)?|\D+", path.parent.name)
    return [(float(word), "") if word[0].isdigit() else (-1.0, word) for word in words]


def group_runs(runs: list[Run]) -> list[Group]:
    """The runs grouped by the values that they chose, without the seed."""
    groups: dict[frozenset[tuple[str, str]], list[Run]] = {}
    for run in runs:
        chosen = frozenset((key, value) for key, value in run.job.values.items() if key != SEED)
        groups.setdefault(chosen, []).append(run)
    return [Group(members[0].job.label_without(SEED), members) for members in groups.values()]


def stage_metrics(experiment: str) -> dict[str, Any]:
    """The means over seeds by metric, for `dvc metrics show`; several groups are told apart by their labels."""
    means: dict[str, Any] = {
        group.label or "all": {metric: group.mean(metric) for metric in group.metrics}
        for group in group_runs(read_runs(experiment))
    }
    return means if len(means) > 1 else next(iter(means.values()))
