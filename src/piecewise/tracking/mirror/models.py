"""A run's model in MLflow: an exported program, no pickle; registered under its experiment, the best with an alias."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from piecewise.manifest import digest_file
from piecewise.tracking.mirror.artifact_digests import ArtifactRecord, ready_models
from piecewise.tracking.mirror.lookup import create_once
from piecewise.tracking.mirror.uploads import Damaged
from piecewise.tracking.store.addresses import local_path

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from torch import nn

NLL = "val/nll"  # a version's tag: lower is better
BEST = "best"  # the alias of the version with the lowest


LoadModel = Callable[[], "tuple[nn.Module, Any]"]  # the trained model and an example of its input


@dataclass(frozen=True)
class ModelOf:
    """Which run a model is of, the name it is registered under, and at which step and `val/nll` it was chosen."""

    run_id: str  # MLflow's
    name: str
    step: int
    nll: float


def bring_model(client: MlflowClient, about: ModelOf, load: LoadModel, record: ArtifactRecord | None) -> bool:
    """See that the run's model is there, is the run's output and is registered; whether it had to be logged.

    Whatever of this an earlier try was cut off from is done now.
    """
    model_id = find_model(client, about.run_id, record)
    is_new = model_id is None
    if model_id is None:
        model_id = log_model(client, client.get_run(about.run_id), *load())
    _make_output(client, about, model_id)
    register(client, about, model_id)
    return is_new


def log_model(client: MlflowClient, run: Any, model: nn.Module, example: Any) -> str:
    """Log `model` as an exported program: it loads where piecewise is not installed, and without unpickling.

    Returns MLflow's id of it. Raises Damaged if it does not arrive as it was sent; then there is none.
    """
    import mlflow.pytorch
    import torch
    from mlflow.models import Model

    _remove_unfinished(client, run)
    logged = client.create_logged_model(run.info.experiment_id, "model", source_run_id=run.info.run_id)
    try:
        with tempfile.TemporaryDirectory() as place:
            path = Path(place, "model")
            mlflow.pytorch.save_model(
                model.eval(),
                path,
                mlflow_model=Model(run_id=run.info.run_id, model_uuid=logged.model_id, model_id=logged.model_id),
                serialization_format="pt2",
                input_example=example,
                pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}"],
            )
            client.log_model_artifacts(logged.model_id, str(path))
            _verify(logged.model_id, path)
        client.finalize_logged_model(logged.model_id, "READY")
    except BaseException:
        client.delete_logged_model(logged.model_id)
        raise
    return str(logged.model_id)


def _make_output(client: MlflowClient, about: ModelOf, model_id: str) -> None:
    from mlflow.entities import LoggedModelOutput

    outputs = client.get_run(about.run_id).outputs
    if outputs is None or all(output.model_id != model_id for output in outputs.model_outputs):
        client.log_outputs(about.run_id, [LoggedModelOutput(model_id, about.step)])


def register(client: MlflowClient, about: ModelOf, model_id: str) -> None:
    """Make the model a version of its registered model; the alias `best` goes to the one with the lowest `val/nll`."""
    name = about.name
    if not client.search_registered_models(f"name = '{name}'"):
        create_once(lambda: client.create_registered_model(name))
    known = [version for version in client.search_model_versions(f"run_id = '{about.run_id}'") if version.name == name]
    if not any(version.source == f"models:/{model_id}" for version in known):
        tags = {NLL: repr(about.nll)}
        client.create_model_version(name, f"models:/{model_id}", about.run_id, tags=tags, model_id=model_id)
    versions = list(client.search_model_versions(f"name = '{name}'"))
    best = min(versions, key=lambda version: (float(version.tags.get(NLL, "inf")), int(version.version)))
    if str(client.get_registered_model(name).aliases.get(BEST)) != str(best.version):
        client.set_registered_model_alias(name, BEST, best.version)


def find_model(client: MlflowClient, run_id: str, record: ArtifactRecord | None) -> str | None:
    """MLflow's id of the run's whole model, if there is one. One that lost files is deleted: nobody shall load it."""
    models = ready_models(client, client.get_run(run_id))
    lost = (record.missing(run_id) or []) if record is not None else []
    for model in models:
        place = local_path(model.artifact_location)
        if place is not None and any(path.is_relative_to(place) for path in lost):
            client.delete_logged_model(model.model_id)
            models = [other for other in models if other is not model]
    return str(models[0].model_id) if models else None


def _remove_unfinished(client: MlflowClient, run: Any) -> None:
    """What an earlier try was cut off from."""
    query = f"source_run_id = '{run.info.run_id}'"
    for model in client.search_logged_models([run.info.experiment_id], filter_string=query):
        if str(model.status) != "READY":
            client.delete_logged_model(model.model_id)


def _verify(model_id: str, path: Path) -> None:
    from mlflow.artifacts import download_artifacts

    with tempfile.TemporaryDirectory() as place:
        arrived = Path(download_artifacts(f"models:/{model_id}", dst_path=place))
        for file in (file for file in path.rglob("*") if file.is_file()):
            copy = arrived / file.relative_to(path)
            if not copy.is_file() or digest_file(copy) != digest_file(file):
                raise Damaged(f"{file.relative_to(path)} of the model did not arrive as it was sent")
