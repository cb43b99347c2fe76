"""Finding and creating in MLflow exactly once, even if replies are lost or others create at the same time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from piecewise.tracking.store.runs_by_sql import StoredRun, stored_runs
from piecewise.tracking.tags import MIRRORED, RUN_ID

if TYPE_CHECKING:
    from mlflow import MlflowClient

PAGE_SIZE = 1000


def find_run(client: MlflowClient, piecewise_id: str) -> StoredRun | None:
    """The store's run with our id, possibly a deleted one; None if there is none."""
    return find_runs(client, [piecewise_id]).get(piecewise_id)


def find_runs(client: MlflowClient, piecewise_ids: Sequence[str]) -> dict[str, StoredRun]:
    """The store's runs with our ids, by these ids. In an embedded store that is one query, however many are wanted.

    A lost reply can leave several with one id. The one with the lowest MLflow id is kept, so that every process keeps
    the same.
    """
    copies: dict[str, list[StoredRun]] = defaultdict(list)
    for piecewise_id, run in _with_ids(client, piecewise_ids):
        copies[piecewise_id].append(run)
    found = {}
    for piecewise_id, runs in copies.items():
        active = sorted((run for run in runs if not run.is_deleted), key=lambda run: run.run_id)
        for duplicate in active[1:]:
            client.delete_run(duplicate.run_id)
        found[piecewise_id] = (active or runs)[0]
    return found


def _with_ids(client: MlflowClient, piecewise_ids: Sequence[str]) -> Iterator[tuple[str, StoredRun]]:
    known = stored_runs(str(client.tracking_uri), piecewise_ids)
    if known is not None:
        yield from known
        return
    for piecewise_id in piecewise_ids:
        for run in all_runs_of(client, f"tags.`{RUN_ID}` = '{piecewise_id}'"):
            yield piecewise_id, as_stored(run)


def as_stored(run: Any) -> StoredRun:
    """What the mirror needs of MLflow's own description of a run."""
    info = run.info
    mirrored = run.data.tags.get(MIRRORED)
    return StoredRun(info.run_id, info.experiment_id, info.artifact_uri, info.status, is_deleted(run), mirrored)


def is_deleted(run: Any) -> bool:
    return bool(run.info.lifecycle_stage == "deleted")


def find_page(client: MlflowClient, piecewise_id: str) -> str | None:
    """The path of the run's page on MLflow's server; None if there is no such run."""
    run = find_run(client, piecewise_id)
    return None if run is None else f"/#/experiments/{run.experiment_id}/runs/{run.run_id}"


def all_runs_of(client: MlflowClient, query: str) -> Iterator[Any]:
    """Every run that matches the query, in every experiment, deleted ones included."""
    from mlflow.entities import ViewType

    experiments = pages(client.search_experiments, ViewType.ALL, PAGE_SIZE)
    ids = [experiment.experiment_id for experiment in experiments]
    yield from pages(client.search_runs, ids, query, ViewType.ALL, PAGE_SIZE)


def restore_experiment(client: MlflowClient, experiment_id: str) -> None:
    """Restore a deleted experiment. MLflow restores its runs too; those deleted before are deleted again."""
    from mlflow.entities import ViewType

    deleted = list(pages(client.search_runs, [experiment_id], "", ViewType.DELETED_ONLY, PAGE_SIZE))
    client.restore_experiment(experiment_id)
    for run in deleted:
        if not is_deleted(client.get_run(run.info.run_id)):
            client.delete_run(run.info.run_id)


def create_once(create: Callable[[], object]) -> None:
    """Create something that has a name. If it exists already, another process or a lost reply created it."""
    from mlflow.exceptions import MlflowException

    try:
        create()
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def pages(search: Callable[..., Any], *arguments: object) -> Iterator[Any]:
    """The items of all pages of a search."""
    token: str | None = None
    while True:
        page = search(*arguments, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
