"""Finding and creating in MLflow exactly once, even if replies are lost or others create at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from piecewise.tracking.tags import RUN_ID

if TYPE_CHECKING:
    from mlflow import MlflowClient

PAGE_SIZE = 1000


def find_run(client: MlflowClient, piecewise_id: str) -> Any:
    """MLflow's run with our id, possibly a deleted one; None if there is none.

    A lost reply can leave several. The one with the lowest MLflow id is kept, so that every process keeps the same.
    """
    found = list(all_runs_of(client, f"tags.`{RUN_ID}` = '{piecewise_id}'"))
    active = sorted((run for run in found if not is_deleted(run)), key=lambda run: str(run.info.run_id))
    for duplicate in active[1:]:
        client.delete_run(duplicate.info.run_id)
    return (active or found or [None])[0]


def is_deleted(run: Any) -> bool:
    return run is not None and run.info.lifecycle_stage == "deleted"


def find_page(client: MlflowClient, piecewise_id: str) -> str | None:
    """The path of the run's page on MLflow's server; None if there is no such run."""
    run = find_run(client, piecewise_id)
    return None if run is None else f"/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"


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
