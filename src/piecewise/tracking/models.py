"""A run's model in MLflow: an exported program, no pickle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from piecewise.tracking.artifacts import ArtifactRecord, local_path, ready_models

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from torch import nn


def log_model(run_id: str, model: nn.Module, example: Any) -> None:
    """Log `model` as an exported program: it loads where piecewise is not installed, and without unpickling."""
    import mlflow
    import mlflow.pytorch
    import torch

    requirements = [f"torch=={torch.__version__.partition('+')[0]}"]
    with mlflow.start_run(run_id=run_id):
        mlflow.pytorch.log_model(
            model.eval(),
            name="model",
            serialization_format="pt2",
            input_example=example,
            pip_requirements=requirements,
        )


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
