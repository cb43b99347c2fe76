"""A run's model in MLflow: an exported program, no pickle; registered under its experiment, the best with an alias."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from piecewise.manifest import digest_file
from piecewise.tracking.artifacts import ArtifactRecord, local_path, ready_models
from piecewise.tracking.uploads import Damaged

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from torch import nn

NLL = "val/nll"  # a version's tag: lower is better
BEST = "best"  # the alias of the version with the lowest


def log_model(client: MlflowClient, run: Any, model: nn.Module, example: Any, step: int) -> str:
    """Log `model` as an exported program: it loads where piecewise is not installed, and without unpickling.

    Returns MLflow's id of it. Raises Damaged if it does not arrive as it was sent; then there is none.
    """
    import mlflow.pytorch
    import torch
    from mlflow.entities import LoggedModelOutput
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
        client.log_outputs(run.info.run_id, [LoggedModelOutput(logged.model_id, step)])
    except BaseException:
        client.delete_logged_model(logged.model_id)
        raise
    return str(logged.model_id)


def register(client: MlflowClient, name: str, model_id: str, run_id: str, nll: float) -> None:
    """Make the model a version of the registered model `name`; the alias `best` goes to the lowest `val/nll`."""
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    known = [version for version in client.search_model_versions(f"run_id = '{run_id}'") if version.name == name]
    if not any(version.source == f"models:/{model_id}" for version in known):
        client.create_model_version(name, f"models:/{model_id}", run_id, tags={NLL: repr(nll)}, model_id=model_id)
    versions = list(client.search_model_versions(f"name = '{name}'"))
    best = min(versions, key=lambda version: (float(version.tags.get(NLL, "inf")), int(version.version)))
    if str(client.get_registered_model(name).aliases.get(BEST)) != str(best.version):
        client.set_registered_model_alias(name, BEST, best.version)


def has_model(client: MlflowClient, run_id: str, record: ArtifactRecord | None) -> bool:
    """Whether a whole model is there. One that lost files is deleted: nobody shall load it."""
    models = ready_models(client, client.get_run(run_id))
    lost = (record.missing(run_id) or []) if record is not None else []
    for model in models:
        place = local_path(model.artifact_location)
        if place is not None and any(path.is_relative_to(place) for path in lost):
            client.delete_logged_model(model.model_id)
            models = [other for other in models if other is not model]
    return bool(models)


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
