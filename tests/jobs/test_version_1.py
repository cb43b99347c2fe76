"""Jobs that version 1 wrote are read. Its label was one text; version_1/jobs.json is a sweep of that version."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from piecewise.errors import BadInput
from piecewise.jobs.job import Job, read_job, read_jobs
from piecewise.jobs.version_1 import split_label

RECORD = Path(__file__).parent / "version_1" / "jobs.json"


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["seed=0", "+trainer.max_steps=100"],
        ["~scheduler", "++a.b=1", "+c@d=e"],
        ["data.path='a,b=c'", "seed=0"],
        ['data.path="it\'s, \\"a=1\\""', "model.width=[3,4]"],
        ["a={b:[1,'],'],c:2}", "d=choice(1,2)"],
        ["a=\\,b\\=1", "c=x\\\\", "d='\\\\'"],
        ["data.path=", "seed=1"],
        ["a=${b,c}", "d=1"],
    ],
)
def test_a_label_is_split_where_it_was_joined(overrides: list[str]) -> None:
    assert list(split_label(",".join(overrides))) == overrides


def test_jobs_of_version_1_are_read_with_their_overrides() -> None:
    given = ["trainer.max_epochs=2", "data.num_train=40", "data.num_test=20", "batch_size=10"]
    jobs = read_jobs(RECORD)
    for seed, job in enumerate(jobs):
        assert job.overrides == (*given, f"seed={seed}", 'data.folder="a,b c"', "+trainer.max_steps=6")
        assert job.title == json.loads(RECORD.read_text())["jobs"][seed]["label"].join(["curve_1d-shallow ", ""])
        assert job.config.seed == seed
    assert jobs[0].digest != jobs[1].digest


def test_a_job_of_version_1_is_written_as_one_of_this_version(tmp_path: Path) -> None:
    (job, _) = read_jobs(RECORD)
    job.write(tmp_path / "job.json")
    assert json.loads((tmp_path / "job.json").read_text())["version"] == 2
    assert read_job(tmp_path / "job.json") == job


def test_the_experiment_of_a_job_of_version_1_joins_its_overrides() -> None:
    """Its label left the experiment out."""
    content = {
        "version": 1,
        "digest": "4d687b6437462c4d42e6b3ca5812976a72f39b30a2d78d5f5d1be4880f9aa5a5",
        "seal": "d6031ae16b9af1565da44e4c3bea133163d8069d7fd97d21b736b8ccfea99513",
        "name": "fit",
        "label": "seed=3",
        "config": {"about": {"question": "Does it fit?"}, "seed": 3},
    }
    job = Job.from_dict(content, RECORD)
    assert (job.overrides, job.title) == (("experiment=fit", "seed=3"), "fit seed=3")


@pytest.mark.parametrize("key", ["name", "label", "config"])
def test_an_edited_job_of_version_1_is_refused(tmp_path: Path, key: str) -> None:
    content = json.loads(RECORD.read_text())["jobs"][0]
    content[key] = {"seed": 9} if key == "config" else "other"
    (tmp_path / "job.json").write_text(json.dumps(content))
    with pytest.raises(BadInput, match="the job was edited"):
        read_job(tmp_path / "job.json")
    del content[key]
    (tmp_path / "job.json").write_text(json.dumps(content))
    with pytest.raises(BadInput, match=f"the job's {key} is None"):
        read_job(tmp_path / "job.json")
