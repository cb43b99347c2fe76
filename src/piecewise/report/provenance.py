"""The provenance of a run's numbers, as the report shows it."""

from __future__ import annotations

import time
from typing import Any

from piecewise import terminal
from piecewise.journal.reader import read_journal
from piecewise.journal.records import End, Start
from piecewise.report.runs import Run

DIGEST_CHARACTERS = 12  # shown of a digest


def provenance(run: Run) -> dict[str, str]:
    """The run's inputs and outputs by name: digests, numerics, commit and times."""
    digests = run.result["digests"]
    record = read_journal(run.folder.journal)
    facts = {
        "job digest": run.result["job_digest"][:DIGEST_CHARACTERS],
        "run key": run.result["run_key"][:DIGEST_CHARACTERS],
        "data digest": digests["data"][:DIGEST_CHARACTERS],
        "source digest": digests["source"][:DIGEST_CHARACTERS],
        "lock digest": digests["lock"][:DIGEST_CHARACTERS],
        "weights digest": run.result["weights_digest"][:DIGEST_CHARACTERS],
        "weights kept": f"{run.result['selected']}: step {run.result['selected_step']:,} of {run.result['steps']:,}",
        "examples": f"{run.result['num_train']:,} to train, {run.result['num_val']:,} to validate",
        "parameters": f"{run.result['num_parameters']:,}",
        "numerics": _numerics(run.result["numerics"]),
    }
    if record is not None:
        facts |= _origin(record.start, record.end)
    return facts


def _numerics(numerics: dict[str, Any]) -> str:
    processes = f", {numerics['world_size']} processes" if numerics["world_size"] > 1 else ""
    return (
        f"{numerics['device']}, {numerics['precision']}, torch {numerics['torch']}, "
        f"{numerics['threads']} threads{processes}"
    )


def _origin(start: Start, end: End | None) -> dict[str, str]:
    commit = start.tags.get("git.commit", "")[:DIGEST_CHARACTERS]
    facts = {"started": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(start.time))}
    if end is not None:
        facts["took"] = terminal.duration(end.time - start.time)
    if commit:
        facts["commit"] = commit + (" with changes" if start.tags.get("git.dirty") == "true" else "")
    return facts | {"in MLflow": f"piecewise ui {start.id}"}
