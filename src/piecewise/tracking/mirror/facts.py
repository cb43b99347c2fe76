"""What a journal states about a run, as MLflow's parameters, tags and inputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from piecewise.jobs.comparable import flatten
from piecewise.journal.reader import RunRecord
from piecewise.journal.records import Input
from piecewise.processes import Process

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Param, RunTag

NOTE = "mlflow.note.content"  # the description on the page of a run or an experiment
COMMIT = "mlflow.source.git.commit"
SOURCE = "mlflow.source.name"
KIND = {"mlflow.experimentKind": "custom_model_development"}  # MLflow then shows pages for runs, not for prompts
TAGGED = ("job_digest", "run_key", "digests", "numerics", "weights_digest", "num_parameters", "reason")


def run_tags(tags: dict[str, str]) -> dict[str, str]:
    """The tags in a journal's first record, with MLflow's own name for the commit too, and for the command instead."""
    known = {COMMIT: tags.get("git.commit"), SOURCE: tags.get("command")}
    own = {key: value for key, value in tags.items() if key != "command"}
    return own | {key: value for key, value in known.items() if value}


def experiment_tags(tags: dict[str, str]) -> dict[str, str]:
    """The tags of a new experiment. Its note is the first line of its first run's note, the question.

    Without a question, that line is a run's command in backquotes, which says nothing of the others.
    """
    question = tags.get(NOTE, "").partition("\n")[0]
    return KIND | ({NOTE: question} if question and not question.startswith("`") else {})


def process_text(process: Process | None) -> str:
    """A process as the JSON text of a tag."""
    return json.dumps(process.as_dict() if process is not None else {})


def log_tags(client: MlflowClient, run_id: str, tags: dict[str, str]) -> None:
    """Set many tags with one request: each request takes time."""
    client.log_batch(run_id, tags=as_tags(tags))


def as_tags(tags: Mapping[str, str]) -> list[RunTag]:
    from mlflow.entities import RunTag

    return [RunTag(key, value) for key, value in tags.items()]


def parameters(config: dict[str, Any]) -> list[Param]:
    """The configuration, option by option."""
    from mlflow.entities import Param

    return [Param(key, value) for key, value in flatten(config)]


def log_inputs(client: MlflowClient, run_id: str, inputs: dict[str, Input]) -> None:
    """Log data sets with one request; the keys of `inputs` say what each is used for."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    found = []
    for purpose, data in inputs.items():
        # MLflow accepts up to 36 characters of a digest; the tag keeps all.
        source = json.dumps({"uri": data.source})
        dataset = Dataset(data.name, data.digest[:32], "local", source, profile=json.dumps(data.profile))
        tags = [InputTag("mlflow.data.context", purpose), InputTag("sha256", data.digest)]
        found.append(DatasetInput(dataset, tags))
    if found:
        client.log_inputs(run_id, found)


def fact_tags(record: RunRecord) -> dict[str, str]:
    """As tags, what TAGGED names in the journal's first and last records, and what resuming has changed."""
    facts = {**record.start.raw, **(record.end.raw if record.end is not None else {})}
    tags = dict(flatten({key: facts[key] for key in TAGGED if key in facts}))
    changed = sorted({part for resume in record.resumed for part in resume.changed})
    return tags | ({"resume.changed": ",".join(changed)} if changed else {})
