"""What an experiment expects: bounds for the mean of a metric over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from piecewise.errors import BadInput, nearest

BOUNDS = {"at_least": "≥", "at_most": "≤"}
MISSING = object()
KEYS = ("metric", *BOUNDS, "when")


@dataclass(frozen=True)
class Expectation:
    """The mean of `metric` lies within the `bounds`, for the jobs whose configuration has the values in `when`."""

    metric: str
    bounds: dict[str, float]  # `at_least`, `at_most` or both
    when: dict[str, Any]  # by keys such as `model.width`; empty for all jobs

    @classmethod
    def parse(cls, item: Any) -> Expectation:
        """One item of `about.expected`. Raises BadInput."""
        if not isinstance(item, dict) or not isinstance(item.get("metric"), str) or not item["metric"]:
            raise BadInput(f"about.expected has {item!r}, which names no metric")
        where = f"about.expected of {item['metric']}"
        for key in item:
            if key not in KEYS:
                raise BadInput(f"{where}: {key}={item[key]!r} is no option; {nearest(str(key), KEYS)}")
        bounds = {key: item[key] for key in BOUNDS if key in item}
        if not bounds or not all(type(bound) in (int, float) and isfinite(bound) for bound in bounds.values()):
            raise BadInput(f"{where} needs a finite number as at_least or at_most")
        if len(bounds) == 2 and bounds["at_least"] > bounds["at_most"]:
            raise BadInput(f"{where}: at_least={bounds['at_least']} is above at_most={bounds['at_most']}")
        when = item.get("when") or {}
        if not isinstance(when, dict) or not all(isinstance(key, str) for key in when):
            raise BadInput(f"{where}: when={when!r} must be keys with their values")
        return cls(item["metric"], bounds, when)

    @property
    def bound(self) -> str:
        """The bounds as text: `≥ 0.5 and ≤ 0.6`."""
        return " and ".join(f"{BOUNDS[key]} {bound:g}" for key, bound in self.bounds.items())

    @property
    def condition(self) -> str:
        """`when` as text: `model.width=3`."""
        return ", ".join(f"{key}={value}" for key, value in self.when.items())

    def __str__(self) -> str:
        return f"{self.metric} {self.bound}" + (f" when {self.condition}" if self.when else "")

    def applies_to(self, config: Mapping[str, Any]) -> bool:
        """Whether a job's configuration has all values in `when`."""
        return all(value_of(config, key) == wanted for key, wanted in self.when.items())

    def is_met_by(self, mean: float) -> bool:
        """Whether a mean lies within the bounds; they are included. NaN does not."""
        return self.bounds.get("at_least", mean) <= mean <= self.bounds.get("at_most", mean)


def value_of(config: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key in a configuration; MISSING if it has none, or others below it."""
    found: Any = config
    for name in key.split("."):
        found = found.get(name, MISSING) if isinstance(found, Mapping) else MISSING
    return MISSING if isinstance(found, Mapping) else found


def expectations(about: Mapping[str, Any]) -> list[Expectation]:
    """All that an `about` expects. Raises BadInput."""
    expected = about.get("expected") or []
    if not isinstance(expected, list):
        raise BadInput(f"about.expected={expected!r} must be a list")
    return [Expectation.parse(item) for item in expected]
