from __future__ import annotations

import pytest

from piecewise.errors import BadInput
from piecewise.journal.find import find_run, find_single_run, known_runs
from piecewise.journal.run_folder import RunFolder
from piecewise.journal.writer import Journal
from piecewise.project import Project


def begin(folder: RunFolder, run_id: str, title: str) -> None:
    facts = {"num_jobs": 2} if " sweep of " in title else {}
    with Journal(folder.journal) as journal:
        journal.start(id=run_id, name=title.split()[0], title=title, **facts)


@pytest.fixture
def runs(project: Project) -> Project:
    begin(RunFolder.at(project / "runs" / "20260101-100000-aaa-line"), "20260101-100001-abc", "line seed=0")
    begin(RunFolder.at(project / "runs" / "20260101-110000-bbb-mnist"), "20260101-110001-def", "mnist sweep of 2")
    begin(RunFolder.at(project / "runs" / "20260101-110000-bbb-mnist" / "0000"), "20260101-110002-ghi", "mnist seed=0")
    begin(RunFolder.of_stage("deep", "seed=0"), "20260102-100000-jkl", "deep seed=0")
    return project


def test_a_damaged_journal_hides_only_its_own_run(runs: Project, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = runs / "runs" / "20260101-100000-aaa-line" / "journal.jsonl"
    damaged.write_bytes(damaged.read_bytes().replace(b"line", b"lime"))
    assert len(known_runs(runs)) == 3
    assert "the checksum does not fit the record; piecewise verify says more" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "run_id"),
    [
        ("20260101-100001-abc", "20260101-100001-abc"),
        ("20260102", "20260102-100000-jkl"),
        ("line seed=0", "20260101-100001-abc"),
        ("line", "20260101-100001-abc"),
        ("20260101-100000-aaa-line", "20260101-100001-abc"),
        ("runs/20260101-110000-bbb-mnist/0000/", "20260101-110002-ghi"),
        ("20260101-110000-bbb-mnist", "20260101-110001-def"),
        ("20260101-11", "20260101-110001-def"),  # a sweep whose jobs' ids begin alike
        ("mnist s", "20260101-110001-def"),
        ("deep seed=0", "20260102-100000-jkl"),
        ("./results/train/deep/seed=0/", "20260102-100000-jkl"),
        ("results/journal/deep/seed=0.jsonl", "20260102-100000-jkl"),
        ("runs/pipeline/deep/seed=0", "20260102-100000-jkl"),
        ("last", "20260102-100000-jkl"),
    ],
)
def test_a_run_is_found_by_any_of_its_names(runs: Project, text: str, run_id: str) -> None:
    assert find_run(runs, text).start.id == run_id


def test_a_run_is_found_by_the_absolute_path_of_its_folder(runs: Project) -> None:
    place = (runs / "runs" / "20260101-110000-bbb-mnist" / "0000").resolve()
    assert find_run(runs, str(place)).id == "20260101-110002-ghi"
    assert find_run(runs, str(place.parent)).id == "20260101-110001-def"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lin seed=0", r"run 'lin seed=0' is unknown; did you mean 'line seed=0'\?"),
        ("20260101", r"run '20260101' may be any of 3: 20260101-100001-abc \(line seed=0\), .*; give more of the id"),
        ("", "RUN is empty"),
        ("runs", "is unknown"),
        ("results/train", "is unknown"),
        ("a/" + "long" * 100, "is unknown"),
    ],
)
def test_unknown_and_ambiguous_runs_are_refused(runs: Project, text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        find_run(runs, text)


def test_last_is_refused_without_runs(project: Project) -> None:
    with pytest.raises(BadInput, match="there are no runs"):
        find_run(project, "last")


def test_last_is_the_sweep_of_the_job_that_began_last(runs: Project) -> None:
    sweep, other = runs.runs / "20260101-110000-bbb-mnist", runs.runs / "20260103-100000-eee-line"
    begin(RunFolder.at(sweep / "0001"), "20260103-100000-mno", "mnist seed=1")
    assert find_run(runs, "last").id == "20260101-110001-def"
    place = "runs/20260101-110000-bbb-mnist/0000"
    with pytest.raises(BadInput, match=rf"^20260101-110001-def \(mnist .*\) is a sweep; .* such as {place}$"):
        find_single_run(runs, "last")
    assert find_single_run(runs, place).id == "20260101-110002-ghi"
    begin(RunFolder.at(other), "20260103-100001-pqr", "line seed=1")
    assert find_single_run(runs, "last").id == "20260103-100001-pqr"


def test_last_is_a_sweep_of_the_pipeline_too(runs: Project) -> None:
    begin(RunFolder.of_stage("wide", "sweep"), "20260104-100000-stu", "wide sweep of 1")
    begin(RunFolder.of_stage("wide", "seed=0"), "20260104-100001-vwx", "wide seed=0")
    assert find_run(runs, "last").id == "20260104-100000-stu"
    with pytest.raises(BadInput, match=r"is a sweep; .* such as results/journal/wide/seed=0\.jsonl$"):
        find_single_run(runs, "last")


def test_a_journal_without_its_first_record_is_no_run(runs: Project) -> None:
    (runs / "runs" / "torn").mkdir()
    (runs / "runs" / "torn" / "journal.jsonl").write_bytes(b"0000")
    assert len(known_runs(runs)) == 4
