"""Two `val/nll` are comparable if the same examples were measured with the same loss."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from piecewise.jobs.build import build_data
from piecewise.jobs.comparable import basis, best_of_each, flatten, short_name
from piecewise.jobs.job import Job
from piecewise.project import Project
from small_project import TINY

Plan = Callable[..., list[Job]]
CSV = ("data=csv", "model=mlp", "batch_size=5")


def basis_of(job: Job) -> str:
    found = basis(dict(flatten(job.frozen)), build_data(job.config.data).digest("train"))
    assert found is not None
    return found


@pytest.fixture
def table(project: Project) -> Path:
    """A table of which two columns can be targets."""
    rows = "\n".join(f"{number},{number % 3},{number % 5}" for number in range(20))
    path = project / "houses.csv"
    path.write_text(f"size,rooms,price\n{rows}\n")
    return path


@pytest.mark.parametrize(
    "option",
    [
        "seed=1",
        "model.width=7",
        "optimizer.lr=0.5",
        "batch_size=7",
        "select=last",
        "data.num_test=30",
        "trainer.max_epochs=3",
        "trainer.precision=bf16-mixed",
        "trainer.overfit_batches=1",
    ],
)
def test_what_leaves_the_validation_as_it_is_stays_comparable(plan: Plan, tiny_job: Job, option: str) -> None:
    assert basis_of(tiny_job) == basis_of(plan(*TINY, option)[0])


@pytest.mark.parametrize(
    "option",
    [
        "loss=laplace",
        "loss.sigma=2.0",
        "data.seed=1",
        "data.num_train=50",
        "data.noise=0.2",
        "data.val_fraction=0.2",
        "data.split_seed=1",
        "trainer.limit_val_batches=1",
    ],
)
def test_another_loss_or_other_examples_are_not_comparable(plan: Plan, tiny_job: Job, option: str) -> None:
    assert basis_of(tiny_job) != basis_of(plan(*TINY, option)[0])


def test_tables_are_compared_by_their_bytes_and_target(plan: Plan, table: Path) -> None:
    def of(*options: str) -> str:
        return basis_of(plan(*CSV, "data.target=price", f"data.path={table.name}", *options)[0])

    (table.parent / "copy.csv").write_bytes(table.read_bytes())
    (table.parent / "other.csv").write_text(table.read_text().replace("7,1,2", "7,1,3"))
    assert of() == of("data.path=copy.csv") == of("data.standardise=false")
    assert len({of(), of("data.path=other.csv"), of("data.target=rooms"), of("data.test_seed=1")}) == 4
    assert short_name(of()).startswith("csv-squared_error-")
    assert short_name(of()) != short_name(of("loss.sigma=2.0"))


def test_the_best_is_the_lowest_of_each_basis() -> None:
    items = [("a", 2.0, 1), ("b", 5.0, 2), ("a", 1.0, 3), ("a", 1.0, 4), ("b", math.nan, 5), (None, -9.0, 6)]
    assert best_of_each(items) == {"a": 3, "b": 2}
    assert best_of_each([("a", None, 1), ("a", math.nan, 2)]) == {"a": 1}  # neither is lower
    assert best_of_each([("a", None, 1), ("a", 1e300, 2)]) == {"a": 2}


def test_unknown_data_is_comparable_with_nothing() -> None:
    assert basis({"data.path": "x"}, None) is None
    assert json.loads(basis({"data.path": "x", "seed": "1"}, "abc") or "") == {"digests.data": "abc"}


def test_parameters_leave_out_what_does_not_define_the_experiment() -> None:
    config = {"seed": 0, "about": {"question": "x"}, "tracking": None, "model": {"_partial_": True, "width": [8, 16]}}
    assert dict(flatten(config)) == {"seed": "0", "model.width": "[8, 16]"}
    assert dict(flatten({"model": {"activation": "relu"}, "scheduler": None})) == {
        "model.activation": "relu",
        "scheduler": "null",
    }
    assert dict(flatten({"numerics": {"about": 1}})) == {"numerics.about": "1"}
