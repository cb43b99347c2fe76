"""Whether an interrupted run may go on: it must be the same experiment still."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import yaml

from piecewise import terminal
from piecewise.errors import BadInput, nearest
from piecewise.jobs.job import VOLATILE, Job, without_volatile
from piecewise.jobs.provenance import lock_digest
from piecewise.jobs.source import source_digest
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder

NUMERICS = ("accelerator", "devices", "num_nodes", "precision", "strategy")  # decide last places, and no experiment
WORDS = {"source": "the source that trains", "lock": "the environment's lock"}


def unchanged(start: dict[str, Any], job: Job, digests: dict[str, str]) -> list[str]:
    """What differs from when the run began, of the things that may: its source and its lock; a warning names them.

    Raises BadInput if the job or its data have changed: the rest of the training would be of another experiment.
    """
    if start["job_digest"] != job.digest:
        found = _differences(without_volatile(start["config"]), without_volatile(job.frozen))
        raise BadInput(f"{'; '.join(found)}: a run goes on as it began, piecewise train begins another one")
    if start["digests"]["data"] != digests["data"]:
        began = start["inputs"]["training"]
        raise BadInput(
            f"the data has changed: {began['name']} ({began['source']}) has the digest {digests['data']}, the run has "
            f"{began['digest']}"
        )
    changed = changed_surroundings(start, digests)
    for part in changed:
        terminal.warn(f"{WORDS[part]} has changed since the run began: its weights may be other ones")
    before, after = ({key: config["trainer"].get(key) for key in NUMERICS} for config in (start["config"], job.frozen))
    for difference in _differences(before, after, "trainer"):
        terminal.warn(f"{difference}: its weights may differ in the last places, and more after many steps")
    return changed + [f"trainer.{key}" for key in NUMERICS if before[key] != after[key]]


def elsewhere(job: Job, words: list[str]) -> Job:
    """The same experiment under other options of where it trains, such as `trainer.devices=1`. Raises BadInput."""
    config = copy.deepcopy(job.frozen)
    for word in words:
        key, sign, text = word.partition("=")
        if not sign or key not in VOLATILE or key == "tracking":
            raise BadInput(
                f"{word!r} cannot be changed when a run goes on; {nearest(key, set(VOLATILE) - {'tracking'})}"
            )
        group, _, leaf = key.rpartition(".")
        (config[group] if group else config)[leaf] = yaml.safe_load(text)
    return replace(job, frozen=config)


def changed_surroundings(start: dict[str, Any], digests: dict[str, str]) -> list[str]:
    """Which of "source" and "lock" are others than when the run began."""
    return [part for part in WORDS if start["digests"][part] != digests[part]]


def refuse_changed_surroundings(folders: list[RunFolder]) -> None:
    """Raise BadInput if one of the runs began with another source or another lock."""
    now = {"source": source_digest("train"), "lock": lock_digest()}
    for folder in folders:
        record = read_journal(folder.journal) if folder.journal.is_file() else None
        for part in changed_surroundings(record.start, now) if record is not None else []:
            assert record is not None
            raise BadInput(
                f"{record.start['title']}: {WORDS[part]} has changed since the run began: its digest is {now[part]}, "
                f"the run has {record.start['digests'][part]}; without --strict it goes on with a warning"
            )


def _differences(before: Any, after: Any, key: str = "") -> list[str]:
    """Each option that is another one, by its whole key."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = sorted(before.keys() | after.keys())
        parts = [_differences(before.get(name), after.get(name), f"{key}.{name}" if key else name) for name in names]
        return [difference for part in parts for difference in part]
    return [] if before == after else [f"{key}={after!r}, but the run has {before!r}"]
