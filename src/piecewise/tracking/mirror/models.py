"""A run's model in MLflow: an exported program, not a pickle, and a version of its experiment's registered model."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from piecewise.errors import Unavailable
from piecewise.extras import Extras
from piecewise.jobs.comparable import DIGEST, basis, best_of_each, flatten, short_name
from piecewise.journal.names import folder_name
from piecewise.journal.reader import RunRecord
from piecewise.journal.run_folder import RunFolder
from piecewise.manifest import digest_file
from piecewise.tracking.mirror.artifact_digests import ArtifactRecord, models_of
from piecewise.tracking.mirror.lookup import PAGE_SIZE, create_once, pages
from piecewise.tracking.mirror.uploads import Damaged
from piecewise.tracking.store.addresses import local_path
from piecewise.tracking.store.mlflow_internals import quick_pytorch

if TYPE_CHECKING:
    import numpy as np
    from mlflow import MlflowClient
    from torch import nn

MODEL = "model in MLflow"
LEFT_OUT = "left_out.model"  # tag of a run: why its model could not be exported
# Tags of a version.
NLL = "val/nll"  # lower is better
BASIS = "comparable"  # what versions must share for their `val/nll` to be comparable
BEST = "best"  # begins the aliases of the versions with the lowest `val/nll`


def push_model(
    client: MlflowClient, record: RunRecord, folder: RunFolder, run_id: str, artifacts: ArtifactRecord | None
) -> bool:
    """Make sure the model is logged, is an output of its run and is registered. True if it had to be logged.

    Each step is checked by itself, so that a push that was cut off is completed. A model that cannot be exported is
    left out; the run's tag LEFT_OUT says why.
    """
    step, nll = (record.end.selected_step, record.end.val_nll) if record.end is not None else (0, None)
    model_id = find_model(client, run_id, artifacts)
    is_new = model_id is None
    if model_id is None:
        extras = Extras(record.start.title)
        model_id = log_model(client, client.get_run(run_id), *load_model(folder), extras)
        if model_id is None:
            client.set_tag(run_id, LEFT_OUT, extras.left_out[MODEL])
            return False
    _make_output(client, run_id, step, model_id)
    tags = {NLL: repr(math.inf if nll is None else float(nll))}
    key = basis(dict(flatten(record.start.config)), record.start.digests.get("data"))
    register(client, folder_name(record.start.name), run_id, tags | ({BASIS: key} if key else {}), model_id)
    return is_new


def load_model(folder: RunFolder) -> tuple[nn.Module, np.ndarray]:
    """The run's trained model, and an example input of two rows."""
    import torch

    from piecewise.analysis.trained import load_trained

    parts = load_trained(folder)
    dtype = next(parts.model.parameters()).dtype
    if dtype is torch.bfloat16:  # unknown to NumPy and so to MLflow's schema
        dtype = torch.float32
    return parts.model.to(dtype), torch.zeros((2, *parts.spec.input_shape), dtype=dtype).numpy()


def log_model(client: MlflowClient, run: Any, model: nn.Module, example: np.ndarray, extras: Extras) -> str | None:
    """Log `model` as an exported program: it loads without piecewise and without unpickling.

    Returns MLflow's id of it; None if PyTorch cannot export it. Raises Damaged if it arrives altered; it is then
    deleted.
    """
    for unfinished in models_of(client, run, is_ready=False):
        client.delete_logged_model(unfinished.model_id)
    logged = client.create_logged_model(run.info.experiment_id, "model", source_run_id=run.info.run_id)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model")
            if not extras.make(MODEL, lambda: _export(model, example, run.info.run_id, logged.model_id, path)):
                client.delete_logged_model(logged.model_id)
                return None
            client.log_model_artifacts(logged.model_id, str(path))
            _verify(logged.model_id, path)
        client.finalize_logged_model(logged.model_id, "READY")
    except BaseException:
        client.delete_logged_model(logged.model_id)
        raise
    return str(logged.model_id)


def _export(model: nn.Module, example: np.ndarray, run_id: str, model_id: str, path: Path) -> bool:
    """Write the exported program to `path`. Nothing is asked of the store. Raises Unavailable if PyTorch refuses it."""
    import torch
    from mlflow.models import Model

    about = Model(run_id=run_id, model_uuid=model_id, model_id=model_id)
    packages = [f"torch=={torch.__version__.partition('+')[0]}"]
    options = {"mlflow_model": about, "serialization_format": "pt2", "pip_requirements": packages}
    try:
        with quick_pytorch() as pytorch:
            pytorch.save_model(model.eval(), path, input_example=example, **options)
    except Exception as error:  # torch.export raises many kinds, each with pages of text
        raise Unavailable(f"torch.export: {type(error).__name__}: {str(error).partition(chr(10))[0]}") from error
    return True


def _make_output(client: MlflowClient, run_id: str, step: int, model_id: str) -> None:
    from mlflow.entities import LoggedModelOutput

    outputs = client.get_run(run_id).outputs
    if outputs is None or all(output.model_id != model_id for output in outputs.model_outputs):
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step)])


def register(client: MlflowClient, name: str, run_id: str, tags: dict[str, str], model_id: str) -> None:
    """Make the model a version of the registered model `name`, and move the aliases to the best versions."""
    if not client.search_registered_models(f"name = '{name}'"):
        create_once(lambda: client.create_registered_model(name))
    known = [version for version in client.search_model_versions(f"run_id = '{run_id}'") if version.name == name]
    if not any(version.source == f"models:/{model_id}" for version in known):
        client.create_model_version(name, f"models:/{model_id}", run_id, tags=tags, model_id=model_id)
    move_aliases(client, name)


def move_aliases(client: MlflowClient, name: str) -> None:
    """Point `best-DATA-LOSS-DIGEST` to the lowest `val/nll` of comparable versions; `best` too, if all are comparable.

    Otherwise nothing is called `best`: earlier releases gave that alias to the lowest `val/nll` of any data and loss.
    """
    versions = sorted(pages(client.search_model_versions, f"name = '{name}'", PAGE_SIZE), key=lambda v: int(v.version))
    best = best_of_each((_basis_of(client, one), float(one.tags.get(NLL, "inf")), one.version) for one in versions)
    wanted = {f"{BEST}-{short_name(key)}": str(version) for key, version in best.items()}
    if len(best) == 1:
        wanted[BEST] = next(iter(wanted.values()))
    now = {alias: str(version) for alias, version in client.get_registered_model(name).aliases.items()}
    for alias in (alias for alias, version in wanted.items() if now.get(alias) != version):
        client.set_registered_model_alias(name, alias, wanted[alias])
    if BEST in now and BEST not in wanted:
        client.delete_registered_model_alias(name, BEST)


def _basis_of(client: MlflowClient, version: Any) -> str | None:
    """What the version is comparable with. Those of earlier releases lack the tag; their run's parameters tell it."""
    from mlflow.exceptions import MlflowException

    if BASIS in version.tags:
        return str(version.tags[BASIS])
    try:
        run = client.get_run(version.run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # somebody has deleted the run for good
            raise
        return None
    key = basis(run.data.params, run.data.tags.get(DIGEST))
    if key is not None:
        client.set_model_version_tag(version.name, version.version, BASIS, key)
    return key


def find_model(client: MlflowClient, run_id: str, artifacts: ArtifactRecord | None) -> str | None:
    """MLflow's id of the run's complete model, if it has one. A model that has lost files is deleted."""
    missing = (artifacts.missing(run_id) or []) if artifacts is not None else []
    complete = []
    for model in models_of(client, client.get_run(run_id)):
        folder = local_path(model.artifact_location)
        if folder is not None and any(path.is_relative_to(folder) for path in missing):
            client.delete_logged_model(model.model_id)
        else:
            complete.append(str(model.model_id))
    return complete[0] if complete else None


def _verify(model_id: str, path: Path) -> None:
    from mlflow.artifacts import download_artifacts

    with tempfile.TemporaryDirectory() as folder:
        arrived = Path(download_artifacts(f"models:/{model_id}", dst_path=folder))
        for file in (file for file in path.rglob("*") if file.is_file()):
            copy = arrived / file.relative_to(path)
            if not copy.is_file() or digest_file(copy) != digest_file(file):
                raise Damaged(f"{file.relative_to(path)} of the model did not arrive as it was sent")
