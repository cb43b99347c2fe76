from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from piecewise.errors import BadInput
from piecewise.jobs.digests import canonical
from piecewise.jobs.job import Job, read_job, read_jobs, write_jobs

CONFIG: dict[str, Any] = {"seed": 0, "model": {"width": 3}, "trainer": {"max_epochs": 2, "devices": 1}, "about": {}}


def digest_of(config: dict[str, Any]) -> str:
    return Job("line-linear", (), config).digest


def test_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest_of(CONFIG) == digest_of(dict(reversed(CONFIG.items())))


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"model": {"width": 4}}, {"trainer": {"max_epochs": 3}}, {"select": "last"}]
)
def test_digest_changes_with_seed_model_and_epochs(change: dict[str, Any]) -> None:
    assert digest_of(CONFIG | change) != digest_of(CONFIG)


def test_canonical_json_refuses_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"lr": float("nan")})


def test_job_read_from_its_file_equals_the_written_one(tmp_path: Path) -> None:
    job = Job("line-linear", ("seed=0", "~scheduler"), CONFIG)
    job.write(tmp_path / "job.json")
    assert read_job(tmp_path / "job.json") == job


def _edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": CONFIG | {"seed": 7}}, "the job was edited"),
        ({"config": CONFIG | {"tracking": "sqlite:///elsewhere.db"}}, "the job was edited"),  # not in the digest
        ({"name": "other"}, "the job was edited"),
        ({"digest": "0" * 64}, "the job was edited"),
        ({"config": 5}, "the job's config is 5; it must be a dict"),
        ({"seal": None}, "the job's seal is None"),
        ({"overrides": "seed=7"}, "the job's overrides is 'seed=7'; it must be a list"),
        ({"overrides": [7]}, r"the job's overrides is \[7\]; it must be a list"),
        ({"overrides": ["seed=7"]}, "the job was edited"),
        ({"notes": None}, "the job's notes is None"),
        ({"version": 3}, r"version 3 cannot be read; allowed: 2"),
    ],
)
def test_edited_or_incomplete_job_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = tmp_path / "job.json"
    Job("line-linear", (), CONFIG).write(path)
    _edit(path, **changes)
    with pytest.raises(BadInput, match=message):
        read_job(path)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "does not exist"), ("{", "is no JSON"), ("[]", "no JSON object")]
)
def test_file_that_is_no_job_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "job.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BadInput, match=message):
        read_job(path)


def test_error_of_composing_is_raised_again_when_jobs_are_read(tmp_path: Path) -> None:
    write_jobs(tmp_path / "x.json", "x", [], "model.wdth=3 is no option")
    with pytest.raises(BadInput, match=r"model\.wdth=3 is no option"):
        read_jobs(tmp_path / "x.json")
