"""The aliases of registered models, read back from the store: best among comparable runs only."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from piecewise.execution.run_jobs import _best_of
from piecewise.jobs.build import build_data
from piecewise.jobs.job import Job
from piecewise.jobs.run_key import describe_input
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder
from piecewise.journal.writer import Journal
from piecewise.project import Project
from piecewise.tracking.mirror import models
from piecewise.tracking.mirror.mirror import Mirror
from piecewise.tracking.mirror.run_contents import wants_model
from piecewise.tracking.store.addresses import EMBEDDED
from piecewise.tracking.store.open import open_store
from piecewise.tracking.tags import MIRRORED

Plan = Callable[..., list[Job]]
Finished = Callable[..., RunFolder]
NAME = "csv-mlp"
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("restore_tracking_uri")]


@pytest.fixture
def client(mirror: Mirror) -> Any:
    return mirror.client


@pytest.fixture(autouse=True)
def _empty_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Log models without files: exporting one takes seconds."""

    def log_empty(client: Any, run: Any, model: object, example: object, extras: object) -> str:
        logged = client.create_logged_model(run.info.experiment_id, "model", source_run_id=run.info.run_id)
        client.finalize_logged_model(logged.model_id, "READY")
        return str(logged.model_id)

    monkeypatch.setattr(models, "load_model", lambda folder: (None, None))
    monkeypatch.setattr(models, "log_model", log_empty)


@pytest.fixture(scope="module")
def planned() -> dict[tuple[str, ...], Job]:
    """The jobs so far, by their options: composing one takes longer than all else here."""
    return {}


@pytest.fixture
def finished(plan: Plan, project: Project, planned: dict[tuple[str, ...], Job]) -> Finished:
    """`finished(val_nll, option, …)` is a run of a job on a table that has ended with this `val/nll`."""
    for name, last in (("houses", 5), ("flats", 7)):
        rows = "\n".join(f"{number},{number % 3},{number % last}" for number in range(20))
        (project / f"{name}.csv").write_text(f"size,rooms,price\n{rows}\n")

    numbers = count()

    def make(nll: float, *options: str, folder: str = "", **facts: str) -> RunFolder:
        table = ["data=csv", "model=mlp", "batch_size=5", "data.path=houses.csv", "data.target=price"]
        job = planned.get(options) or planned.setdefault(options, plan(*table, *options)[0])
        run = RunFolder.at(project / "runs" / (folder or f"run{next(numbers)}"))
        source = build_data(job.config.data)
        inputs = {"training": describe_input(source, job.config.data, "train")}
        with Journal(run.journal) as journal:
            about = {"id": run.journal.parent.name, "name": job.name, "title": job.title, "config": job.frozen}
            journal.start(**about, digests={"data": inputs["training"]["digest"]}, inputs=inputs, **facts)
            journal.end("FINISHED", val_nll=nll, selected_step=1)
        run.weights.parent.mkdir(parents=True, exist_ok=True)
        run.weights.write_bytes(b"")
        run.result.write_text("{}")
        return run

    return make


def aliases(client: Any) -> dict[str, str]:
    """The run's id by each alias of the model, without the digests at the aliases' ends."""
    found = client.get_registered_model(NAME).aliases
    return {
        alias if alias == "best" else alias.rpartition("-")[0]: client.get_run(
            client.get_model_version(NAME, version).run_id
        ).data.tags["piecewise.run_id"]
        for alias, version in found.items()
    }


def test_the_lowest_of_comparable_runs_is_best(mirror: Mirror, client: Any, finished: Finished) -> None:
    for nll, seed in ((2.0, 0), (1.0, 1), (3.0, 2)):
        mirror.push(finished(nll, f"seed={seed}"), with_model=True)
    assert aliases(client) == {"best": "run1", "best-csv-squared_error": "run1"}
    mirror.push(finished(0.5, "model.width=[4]"), with_model=True)
    assert aliases(client) == {"best": "run3", "best-csv-squared_error": "run3"}


@pytest.mark.parametrize(
    ("option", "alias"),
    [
        ("data.path=flats.csv", "best-csv-squared_error"),
        ("data.target=rooms", "best-csv-squared_error"),
        ("data.split_seed=1", "best-csv-squared_error"),
        ("loss=laplace", "best-csv-laplace"),
        ("loss.sigma=3.0", "best-csv-squared_error"),
    ],
)
def test_runs_on_other_data_or_with_another_loss_share_no_alias(
    mirror: Mirror, client: Any, finished: Finished, option: str, alias: str
) -> None:
    mirror.push(finished(2.0), with_model=True)
    mirror.push(finished(-5.0, option), with_model=True)
    found = client.get_registered_model(NAME).aliases
    runs = {client.get_model_version(NAME, version).run_id for version in found.values()}
    assert "best" not in found
    assert len(found) == len(runs) == 2
    assert sum(name.startswith(alias) for name in found) == (1 if alias == "best-csv-laplace" else 2)


def test_models_of_earlier_releases_are_judged_again(
    mirror: Mirror, client: Any, finished: Finished, project: Project
) -> None:
    """As an earlier release left them: no tag says what is comparable, and one alias points to the lowest of all."""
    folders = [finished(2.0), finished(-5.0, "data.path=flats.csv"), finished(1.0, "seed=1")]
    for folder in folders:
        mirror.push(folder, with_model=True)
    for version in client.search_model_versions(f"name = '{NAME}'"):
        client.delete_model_version_tag(NAME, version.version, "comparable")
        client.set_tag(version.run_id, MIRRORED, "a digest of an earlier release")
    for alias in client.get_registered_model(NAME).aliases:
        client.delete_registered_model_alias(NAME, alias)
    client.set_registered_model_alias(NAME, "best", "2")
    client.set_registered_model_alias(NAME, "best-of-mine", "1")
    Mirror(open_store(EMBEDDED, project), project).push(folders[0], with_model=True)
    found = dict(client.get_registered_model(NAME).aliases)
    assert str(found.pop("best-of-mine")) == "1"
    assert sorted(map(str, found.values())) == ["2", "3"]
    assert "best" not in found
    assert all("comparable" in version.tags for version in client.search_model_versions(f"name = '{NAME}'"))


def test_a_version_whose_run_is_gone_is_compared_with_nothing(
    mirror: Mirror, client: Any, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

    folder = finished(-5.0)
    mirror.push(folder, with_model=True)
    (version,) = client.search_model_versions(f"name = '{NAME}'")
    client.delete_model_version_tag(NAME, version.version, "comparable")
    get_run = client.get_run

    def get(run_id: str) -> Any:
        if run_id == version.run_id:
            raise MlflowException("gone", RESOURCE_DOES_NOT_EXIST)
        return get_run(run_id)

    monkeypatch.setattr(client, "get_run", get)
    mirror.push(finished(2.0), with_model=True)
    assert set(aliases(client).values()) == {"run1"}


@pytest.fixture
def sweep(finished: Finished, project: Project) -> RunFolder:
    """The parent of a sweep over two tables and two seeds, whose jobs have ended."""
    parent = RunFolder.at(project / "runs" / "sweep")
    with Journal(parent.journal) as journal:
        journal.start(id="sweep", name=NAME, title="sweep", num_jobs=4)
    for number, nll in enumerate((3.0, 2.0, -1.0, -2.0)):
        table = "houses" if number < 2 else "flats"
        finished(nll, f"data.path={table}.csv", f"seed={number}", folder=f"sweep/{number:04d}", parent="sweep")
    return parent


def test_a_sweep_over_two_tables_has_a_best_job_for_each(sweep: RunFolder) -> None:
    with Journal(sweep.journal) as journal:
        journal.resume()
        journal.end("FINISHED", best=_best_of(sweep))
    wanted = []
    for path in sweep.children:
        record = read_journal(path)
        assert record is not None
        wanted += [path.parent.name] if wants_model(record, RunFolder.at(path.parent)) else []
    assert wanted == ["0001", "0003"]


def test_a_sweep_that_an_earlier_release_recorded_still_has_its_best(sweep: RunFolder) -> None:
    with Journal(sweep.journal) as journal:
        journal.resume()
        journal.end("FINISHED", best="0003")
    record = read_journal(sweep.journal)
    assert record is not None
    assert record.end is not None
    assert record.end.best == ["0003"]
