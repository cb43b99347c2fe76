"""Rewrite a run's records as version 1 wrote them: a label for the overrides, and a digest without the precision."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from piecewise.durable import append_record, open_records, read_records
from piecewise.jobs.digests import canonical_digest

VOLATILE = ("about", "tracking", "evaluate", "log_every_n_steps", "log_model")
VOLATILE_TRAINER = ("accelerator", "devices", "num_nodes", "precision", "strategy", "timeout")


def old_digest(config: dict[str, Any]) -> str:
    kept = {key: copy.deepcopy(value) for key, value in config.items() if key not in VOLATILE}
    kept["trainer"] = {key: value for key, value in config["trainer"].items() if key not in VOLATILE_TRAINER}
    return canonical_digest(kept)


def old_job(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a job file of version 1 for the same job."""
    shown = [item for item in content["overrides"] if not item.startswith(("experiment=", "tracking"))]
    sealed = {"name": content["name"], "label": ",".join(shown), "config": content["config"]}
    return sealed | {"version": 1, "digest": old_digest(content["config"]), "seal": canonical_digest(sealed)}


def rewrite(folder: Path) -> None:
    """Rewrite the job files and journals below a run folder."""
    for path in folder.rglob("job.json"):
        path.write_text(json.dumps(old_job(json.loads(path.read_text()))))
    for path in folder.rglob("jobs.json"):
        content = json.loads(path.read_text())
        jobs = [old_job(job) for job in content["jobs"]]
        path.write_text(json.dumps(content | {"version": 1, "jobs": jobs}))
    for path in folder.rglob("journal.jsonl"):
        records = list(read_records(path))
        if "job_digest" in records[0]:
            shown = records[0]["title"].removeprefix(records[0]["name"]).strip()
            records[0] |= {"label": shown, "job_digest": old_digest(records[0]["config"])}
        records[0].pop("overrides", None)
        path.unlink()
        with open_records(path) as file:
            for record in records:
                append_record(file, record)
