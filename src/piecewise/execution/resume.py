"""Whether an interrupted run may continue: it must still be the same experiment."""

import copy
from dataclasses import replace
from typing import Any

import yaml

from piecewise import terminal
from piecewise.errors import BadInput, nearest
from piecewise.jobs.comparable import flatten
from piecewise.jobs.digests import VOLATILE, config_digest, decisive
from piecewise.jobs.job import Job
from piecewise.jobs.provenance import lock_digest
from piecewise.jobs.source import source_digest
from piecewise.journal.reader import read_journal
from piecewise.journal.records import Start
from piecewise.journal.run_folder import RunFolder

# Options of the trainer that change last digits, and not the experiment.
NUMERICS = ("accelerator", "devices", "num_nodes", "strategy")
FIXED = {"tracking", "executor", "executor._target_"}  # groups, of which a run keeps the option
SURROUNDINGS = {"source": "the source that trains", "lock": "the environment's lock"}


def check_unchanged(start: Start, job: Job, digests: dict[str, str]) -> list[str]:
    """The changes that are allowed since the run began: source, lock, numerics. A warning names each.

    Raises BadInput if the job or its data have changed: the rest of the training would be of another experiment.
    """
    if config_digest(start.config) != job.digest:  # the recorded digest may be of an earlier version's rules
        found = _differences(start.config, job.frozen)
        raise BadInput(f"{'; '.join(found)}: a run continues as it began; piecewise train begins another one")
    if start.digests["data"] != digests["data"]:
        began = start.inputs["training"]
        raise BadInput(
            f"the data has changed: {began.name} ({began.source}) has the digest {digests['data']}, the run has "
            f"{began.digest}"
        )
    changed = changed_surroundings(start, digests)
    for part in changed:
        terminal.warn(f"{SURROUNDINGS[part]} has changed since the run began: its weights may differ")
    before, after = ({key: config["trainer"].get(key) for key in NUMERICS} for config in (start.config, job.frozen))
    moved = [key for key in NUMERICS if before[key] != after[key]]
    for key in moved:
        difference = f"trainer.{key}={after[key]!r}, but the run has {before[key]!r}"
        terminal.warn(f"{difference}: its weights may differ in the last places, and more after many steps")
    return changed + [f"trainer.{key}" for key in moved]


def with_options(job: Job, words: list[str]) -> Job:
    """The same experiment with other options of where it trains, such as `trainer.devices=1`.

    A value that the job has already may be repeated. Raises BadInput for another change.
    """
    config = copy.deepcopy(job.frozen)
    allowed = {*VOLATILE, *(f"executor.{key}" for key in config.get("executor") or ())} - FIXED
    for word in words:
        key, sign, text = word.partition("=")
        if word in job.overrides or _has(job, key, text):
            continue
        if not sign or key not in allowed:
            raise BadInput(f"{word!r} cannot be changed when a run continues; {nearest(key, allowed)}")
        group, _, leaf = key.rpartition(".")
        try:
            (config[group] if group else config)[leaf] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise BadInput(f"{word!r} cannot be read; allowed: KEY=VALUE, with a VALUE of YAML") from error
    return replace(job, frozen=config)


def _has(job: Job, key: str, text: str) -> bool:
    """Whether the value of a key of the job is what the user has written: 3e-3 is 0.003."""
    value = dict(flatten(job.frozen)).get(key)
    try:
        return value is not None and (value == text or float(value) == float(text))
    except ValueError:  # no number
        return False


def changed_surroundings(start: Start, digests: dict[str, str]) -> list[str]:
    """Which of "source" and "lock" have changed since the run began."""
    return [part for part in SURROUNDINGS if start.digests[part] != digests[part]]


def refuse_changed_surroundings(folders: list[RunFolder]) -> None:
    """Raise BadInput if one of the runs began with another source or another lock."""
    lock = lock_digest()
    for folder in folders:
        record = read_journal(folder.journal)
        if record is None:
            continue
        current = {"source": source_digest("train", record.start.config), "lock": lock}
        if changed := changed_surroundings(record.start, current):
            part = changed[0]
            raise BadInput(
                f"{record.start.title}: {SURROUNDINGS[part]} has changed since the run began: its digest is "
                f"{current[part]}, the run has {record.start.digests[part]}; without --strict it continues with a "
                "warning"
            )


def _differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Each option that decides the result and differs, as the two configurations write it."""
    was, now = (dict(flatten(decisive(config))) for config in (before, after))
    shown_before, shown_after = (dict(flatten(config)) for config in (before, after))
    return [
        f"{key}={shown_after.get(key, 'null')}, but the run has {shown_before.get(key, 'null')}"
        for key in sorted(was.keys() | now.keys())
        if was.get(key) != now.get(key)
    ]
