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
    result = run.result
    digests = {"job digest": result["job_digest"], "run key": result["run_key"]}
    digests |= {f"{name} digest": digest for name, digest in result["digests"].items()}
    digests["weights digest"] = result["weights_digest"]
    record = read_journal(run.folder.journal)
    return {
        **{name: digest[:DIGEST_CHARACTERS] for name, digest in digests.items()},
        "weights kept": f"{result['selected']}: step {result['selected_step']:,} of {result['steps']:,}",
        "examples": f"{result['num_train']:,} to train, {result['num_val']:,} to validate",
        "parameters": f"{result['num_parameters']:,}",
        "numerics": _numerics(result["numerics"]),
        **({} if record is None else _origin(record.start, record.end)),
    }


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
