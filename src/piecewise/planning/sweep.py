"""The values that a sweep takes, and the product of them."""

from collections.abc import Iterator, Sequence
from itertools import islice, product
from math import prod
from pathlib import Path

from hydra.core.override_parser.types import Glob, Override
from hydra.errors import HydraException

from piecewise.errors import BadInput
from piecewise.jobs.digests import canonical
from piecewise.jobs.job import Job
from piecewise.planning.choices import options_matching
from piecewise.planning.hydra_settings import leaves
from piecewise.planning.override_parser import parse, shuffled_alike

MAX_JOBS = 100_000  # of one sweep: their journals alone are a gigabyte
OF_SWEEP = ("executor", "on_error", "figures", "tracking")  # keys that say how a whole sweep runs
MAX_SHOWN = 3  # values in a message
SWEEPS = "KEY=a,b  KEY=range(0,3)  KEY=glob(pattern)"
NO_SEARCH = "an interval is a range for a search, and there is no search yet; allowed: values that can be listed,"


def refuse_sweeps(overrides: Sequence[str]) -> None:
    """Raise BadInput if a key has several values."""
    for override in map(parse, overrides):
        _refuse_interval(override)
        if override.is_sweep_override():
            raise BadInput(
                f"{override.input_line} has several values; allowed: -m, which makes a run for each; "
                "[a,b] for a list, or quotes inside quotes, \"'a,b'\", for text with a comma"
            )


def expand(conf: Path, overrides: list[str]) -> list[list[str]]:
    """The product of all values, in the order of Hydra's own sweeper: the last key varies fastest. Raises BadInput."""
    choices = {}
    for override in map(parse, overrides):
        key = override.get_key_element()
        choices[key] = [f"{key}={value}" for value in _values(conf, override)]
    if (count := prod(map(len, choices.values()))) > MAX_JOBS:
        raise BadInput(f"the sweep has {count:,} jobs; allowed: at most {MAX_JOBS:,}")
    return [list(chosen) for chosen in product(*choices.values())]


def _values(conf: Path, override: Override) -> list[str]:
    """The values of one override as Hydra writes them; at least one."""
    if not override.is_sweep_override():
        return [override.get_value_element_as_str()]
    _refuse_interval(override)
    pattern = override.value()
    if isinstance(pattern, Glob):  # Hydra's own glob looks into no sub-folder
        return options_matching(conf, override, pattern)
    values = list(islice(_counted(override), MAX_JOBS + 1))
    if not values:
        raise BadInput(
            f"{override.input_line} has no value: range(START,STOP,STEP) ends before STOP; allowed: range(0,3), "
            "range(3,0,-1), and others with at least one"
        )
    if len(values) > MAX_JOBS:
        raise BadInput(f"{override.input_line} has too many values; allowed: at most {MAX_JOBS:,}")
    return values


def _refuse_interval(override: Override) -> None:
    if override.is_interval_sweep():
        raise BadInput(f"{override.input_line}: {NO_SEARCH} {SWEEPS}")


def _counted(override: Override) -> Iterator[str]:
    try:
        with shuffled_alike(str(override.input_line)):
            values = override.sweep_string_iterator()
        yield from values
    except (ValueError, HydraException) as error:  # of range() and of its counterpart for floats
        raise BadInput(f"{override.input_line}: {error}; allowed: a step other than 0") from error


def refuse_equal_jobs(jobs: Sequence[Job]) -> None:
    """Raise BadInput if two jobs are the same: their runs could not be told apart."""
    seen: dict[tuple[str, str], Job] = {}
    for job in jobs:
        other = seen.setdefault((job.name, canonical(job.frozen)), job)
        if other is not job:
            raise BadInput(
                f"the sweep has one job twice: {other.label or other.title} and {job.label or job.title}; "
                "allowed: each value once"
            )


def refuse_different(jobs: Sequence[Job]) -> None:
    """Raise BadInput if jobs differ in a key that says how the whole sweep runs."""
    for group in OF_SWEEP:
        contents = [job.frozen.get(group) for job in jobs]
        if len(set(map(canonical, contents))) == 1:
            continue
        options = [dict(leaves(content, group)) for content in contents]
        found = {key: list(dict.fromkeys(str(one.get(key)) for one in options)) for one in options for key in one}
        key, values = next((key, values) for key, values in found.items() if len(values) > 1)
        if key.endswith("._target_"):
            key, values = group, [value.rpartition(".")[2] for value in values]
        raise BadInput(
            f"{key} is {' and '.join(values[:MAX_SHOWN])} for jobs of one sweep; "
            "allowed: the same value for all of them, because it says how the whole sweep runs"
        )
