"""MLflow's run for one of ours: there is one, whatever replies were lost while it was created."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from piecewise.tracking.tags import RUN_ID

if TYPE_CHECKING:
    from mlflow import MlflowClient

PAGE = 1000


def find_run(client: MlflowClient, piecewise_id: str) -> Any:
    """The run, also one that somebody has deleted, or None.

    Of several, which a lost reply can make, one stays: whoever looks chooses the same.
    """
    found = list(all_runs_of(client, f"tags.`{RUN_ID}` = '{piecewise_id}'"))
    active = sorted((run for run in found if not is_deleted(run)), key=lambda run: str(run.info.run_id))
    for double in active[1:]:
        client.delete_run(double.info.run_id)
    return (active or found or [None])[0]


def is_deleted(run: Any) -> bool:
    return run is not None and run.info.lifecycle_stage == "deleted"


def find_page(client: MlflowClient, piecewise_id: str) -> str | None:
    """The run's page, as the end of an address of MLflow's server."""
    run = find_run(client, piecewise_id)
    return None if run is None else f"/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"


def all_runs_of(client: MlflowClient, query: str) -> Iterator[Any]:
    """Every run that fits, in every experiment, deleted ones too."""
    from mlflow.entities import ViewType

    experiments = [
        experiment.experiment_id
        for experiment in _pages(lambda token: client.search_experiments(ViewType.ALL, PAGE, page_token=token))
    ]
    yield from _pages(lambda token: client.search_runs(experiments, query, ViewType.ALL, PAGE, page_token=token))


def bring_back(client: MlflowClient, experiment_id: str) -> None:
    """Restore an experiment that somebody has deleted, and no run that was deleted in it."""
    from mlflow.entities import ViewType

    deleted = list(
        _pages(lambda token: client.search_runs([experiment_id], "", ViewType.DELETED_ONLY, PAGE, page_token=token))
    )
    client.restore_experiment(experiment_id)
    for run in deleted:
        if not is_deleted(client.get_run(run.info.run_id)):
            client.delete_run(run.info.run_id)


def create_once(create: Callable[[], object]) -> None:
    """What has a name, and may have been created by somebody else meanwhile, or by a request whose reply was lost."""
    from mlflow.exceptions import MlflowException

    try:
        create()
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _pages(ask: Callable[[str | None], Any]) -> Iterator[Any]:
    token: str | None = None
    while True:
        page = ask(token)
        yield from page
        token = page.token
        if not token:
            return
