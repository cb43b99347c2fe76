"""Faults that verify finds after damage to an intact project."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from bit_flips import COVERED, OUTS, covered_files, flip_trial, flipped, record_in_dvc, whole_project
from piecewise.commands.arguments import Arguments
from piecewise.commands.verify import main
from piecewise.data.idx import Mnist
from piecewise.durable import append_record
from piecewise.health.findings import Finding
from piecewise.health.verify import verify
from piecewise.journal.writer import Journal
from piecewise.manifest import MANIFEST
from piecewise.project import Project

NUM_FLIPS = 20
SEED = 20


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with whole_project(tmp_path_factory.mktemp("verify") / "a project") as root:
        yield root


@pytest.fixture
def root(intact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to damage."""
    copy = tmp_path / "a project"
    shutil.copytree(intact, copy)
    monkeypatch.chdir(copy)
    return copy


def faults(root: Path) -> dict[str, Finding]:
    return {path: fault for report in verify(Project(root)) for path, fault in report.faults.items()}


def notes(root: Path) -> list[str]:
    return [note for report in verify(Project(root)) for note in report.notes]


def found(root: Path) -> dict[str, str]:
    return {path: fault.what for path, fault in faults(root).items()}


def first_match(root: Path, pattern: str) -> Path:
    (path, *_) = sorted(root.glob(pattern))
    return path


def test_intact_project_has_no_faults_and_no_notes(intact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = {report.kind: report for report in verify(Project(intact))}
    hashed = {path for report in kinds.values() for path in report.files}
    assert hashed == set(covered_files(intact))  # listed without verify
    assert [kind for kind, report in kinds.items() if not report.files] == ["MLflow store"]
    assert kinds["runs"].num_bytes == sum(path.stat().st_size for path in kinds["runs"].files)
    assert (faults(intact), notes(intact)) == ({}, [])
    assert main(Project(intact), Arguments("verify", None, [], intact)) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in said] == list(kinds)
    assert all(line.endswith("  ok") for line in said)


def test_project_covers_every_kind_of_file(intact: Path) -> None:
    assert all(list((intact / folder).rglob("*")) for folder in COVERED)
    assert len(list((intact / "mlartifacts").rglob("model.pt2"))) == 2
    assert len(list((intact / "runs").rglob("*.ckpt"))) >= 3
    assert len(list((intact / "runs").rglob(MANIFEST))) == 4
    assert len(list((intact / ".dvc").rglob("*.dir"))) == sum(
        not path.endswith(".json") for paths in OUTS.values() for path in paths
    )


def test_flipped_bit_is_the_only_fault(intact: Path) -> None:
    for number in range(NUM_FLIPS):
        name, found = flip_trial(intact, Random(f"{SEED} {number}"))
        assert set(found) == {name}


def test_a_trial_notices_a_flip_that_verify_misses(intact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bit_flips.COVERED", ("conf",))  # verify does not cover it
    name, found = flip_trial(intact, Random(SEED))
    assert name.startswith("conf/")
    assert found == {}


VICTIMS = {
    "runs/solo/training/model.safetensors": "was altered",
    "runs/solo/checkpoints/*.ckpt": "was altered",
    "runs/solo/manifest.json": "was altered",
    "runs/sweep/manifest.json": "was altered",
    "runs/sweep/0000/figures/learning_curves.svg": "was altered",
    "runs/pipeline/x/run/*.ckpt": "was altered",
    "mlartifacts/*/models/*/artifacts/data/model.pt2": "was altered",
    "mlartifacts/*/*/artifacts/config/model.yaml": "was altered",
    "mlartifacts/.manifests/*.json": "was altered",
    "data/curve_1d/train.safetensors": "differs from dvc.lock",
    "results/metrics/x.json": "differs from dvc.lock",
    "report/figures/x/run/fitted_function.svg": "differs from dvc.lock",
    ".dvc/cache/files/md5/*/*.dir": "does not match its name",
    ".dvc/cache/files/md5/*/*[0-9a-f]": "does not match its name",
}


def _cut(data: bytes) -> bytes:
    return data[:-1]


def _empty(data: bytes) -> bytes:
    return b""


def _zero_a_block(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(len(data[middle:]))


@pytest.mark.parametrize("damage", [_cut, _empty, _zero_a_block])
def test_a_damaged_file_is_named_with_its_remedy(intact: Path, damage: Callable[[bytes], bytes]) -> None:
    for pattern, what in VICTIMS.items():
        path = first_match(intact, pattern)
        data = path.read_bytes()
        path.write_bytes(damage(data))
        ((name, fault),) = faults(intact).items()
        path.write_bytes(data)
        assert (name, fault.what) == (path.relative_to(intact).as_posix(), what)
        assert fault.remedy
    assert faults(intact) == {}


@pytest.mark.parametrize(
    "pattern",
    [
        "runs/solo/training/job.json",
        "runs/pipeline/x/run/*.ckpt",
        "mlartifacts/*/models/*/artifacts/MLmodel",
        "data/curve_1d/test.safetensors",
        "results/train/x/run/result.json",
    ],
)
def test_missing_file_is_named(root: Path, pattern: str) -> None:
    path = first_match(root, pattern)
    path.unlink()
    assert found(root) == {path.relative_to(root).as_posix(): "is missing"}


@pytest.mark.parametrize("name", ["runs/solo/figures/x.svg", "runs/sweep/x.json", "runs/pipeline/x/run/x.ckpt"])
def test_file_that_no_manifest_lists_is_named(root: Path, name: str) -> None:
    (root / name).write_text("x")
    assert found(root) == {name: "was not there"}


def test_file_of_no_stage_is_named(root: Path) -> None:
    (root / "results" / "train" / "x" / "extra").write_text("x")
    (root / "results" / "train" / "x" / ".weights.12.tmp").write_text("x")
    shutil.copy(Path(__file__).parents[2] / ".dvcignore", root)
    assert found(root) == {"results/train/x/extra": "was not there"}


def test_remedy_of_an_out_is_checkout_unless_its_cache_object_is_damaged_too(root: Path) -> None:
    path = root / "data" / "curve_1d" / "train.safetensors"
    name = hashlib.md5(path.read_bytes()).hexdigest()
    cached = root / ".dvc" / "cache" / "files" / "md5" / name[:2] / name[2:]
    path.write_bytes(b"x")
    (fault,) = faults(root).values()
    assert fault.remedy == "rm -rf data/curve_1d/train.safetensors; dvc checkout data/curve_1d"
    cached.write_bytes(b"x")
    of_object, of_out = faults(root).values()
    assert of_object.remedy.startswith(f"rm -rf .dvc/cache/files/md5/{name[:2]}/{name[2:]}; ")
    assert of_out.remedy == "rm -rf data/curve_1d/train.safetensors; dvc repro"


def test_out_is_verified_without_the_list_of_its_files(root: Path) -> None:
    shutil.rmtree(root / ".dvc" / "cache")
    assert faults(root) == {}
    (root / "report" / "índex.html").write_text("<p>e</p>\n")
    assert found(root) == {"report": "differs from dvc.lock; the cache does not have the list of its files"}


def test_cache_in_a_configured_folder_is_verified(root: Path) -> None:
    (root / ".dvc" / "cache").rename(root.parent / "cache")
    (root / ".dvc" / "config").write_text("[core]\n    analytics = false\n[cache]\n    dir = ../../cache\n")
    first_match(root.parent, "cache/files/md5/*/*.dir").write_bytes(b"[]")
    ((_, what),) = found(root).items()
    assert what == "does not match its name"


# An entry of DVC 3.67.1's run cache, and the two names DVC gave it.
RUN_CACHE_NAMES = (
    "bfe0ecf9b2ecc6ac9f4e52fdc6a929154906dbe6cdb4ed7fd9d25361fb4a8e2d",
    "028aff7a7b92ca3de57d256aaa6c4e5b03a9eeab7944659ba9f807f492a61bf6",
)
RUN_CACHE_ENTRY = """\
cmd: mkdir -p out/sub && echo hi > out/b.txt && echo é > "out/sub/ü x.txt" &&\x20
  echo m > m.json
deps:
- path: in.txt
  hash: md5
  md5: 401b30e3b8b5d629635a5c613cdb7919
  size: 2
outs:
- path: m.json
  hash: md5
  md5: 69b64623f86def16ce17d454b8be41ae
  size: 2
- path: out
  hash: md5
  md5: d2a68f3d126f29e0383749b5730826ad.dir
  size: 6
  nfiles: 2
"""


def test_entry_of_the_run_cache_is_verified(root: Path) -> None:
    key, value = RUN_CACHE_NAMES
    path = root / ".dvc" / "cache" / "runs" / key[:2] / key / value
    path.parent.mkdir(parents=True)
    path.write_text(RUN_CACHE_ENTRY)
    assert faults(root) == {}
    path.write_text(RUN_CACHE_ENTRY.replace("69b6", "69b7", 1))
    assert found(root) == {path.relative_to(root).as_posix(): "does not match its name"}


def test_missing_out_is_a_note(root: Path) -> None:
    shutil.rmtree(root / "results" / "train")
    assert faults(root) == {}
    assert notes(root) == ["results/train/x: not here; dvc checkout or dvc repro brings it"]


def test_without_dvc_lock_outputs_are_noted_as_not_verified(root: Path) -> None:
    (root / "dvc.lock").unlink()
    assert faults(root) == {}
    unknown = "in no out of dvc.lock, not verified"
    assert notes(root)[:2] == [
        f"data/curve_1d/test.safetensors and 1 more: {unknown}",
        f"build/jobs/x.json: {unknown}",
    ]


@pytest.mark.parametrize("content", ["stages: [", "stages: []", "[]", "stages: {a: {outs: [{md5: x}]}}"])
def test_lock_that_cannot_be_read_is_a_fault(root: Path, content: str) -> None:
    (root / "dvc.lock").write_text(content)
    assert found(root) == {"dvc.lock": "cannot be read"}


def test_mnist_must_have_its_known_digests_even_if_dvc_lock_agrees(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = root / "data" / "mnist"
    folder.mkdir()
    for name in Mnist.sha256:
        (folder / name).write_text(name)
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in Mnist.sha256}
    record_in_dvc(root, OUTS | {"fetch": ["data/mnist"]})
    name = "t10k-labels-idx1-ubyte"
    monkeypatch.setattr(Mnist, "sha256", digests)
    assert faults(root) == {}
    monkeypatch.setattr(Mnist, "sha256", digests | {name: "0" * 64})
    assert found(root) == {f"data/mnist/{name}": "was altered"}


def test_unfinished_run_is_a_note(root: Path) -> None:
    (root / "runs" / "solo" / MANIFEST).unlink()
    with (root / "runs" / "solo" / "training" / "result.json").open("ab") as file:
        file.write(b" ")
    assert faults(root) == {}
    assert notes(root) == ["runs/solo: not verified: unfinished, without a manifest"]


def test_only_what_has_checkpoints_is_noted_as_unfinished(root: Path) -> None:
    for name in ("sweep", "seed=0"):
        (root / "runs" / "pipeline" / "fit" / name).mkdir(parents=True)
    (root / "runs" / "pipeline" / "fit" / "seed=0" / "last.ckpt").write_bytes(b"1")
    assert faults(root) == {}
    assert notes(root) == ["runs/pipeline/fit/seed=0: not verified: unfinished, without a manifest"]


def test_torn_end_of_an_unfinished_journal_is_a_note_and_a_flipped_bit_is_a_fault(root: Path) -> None:
    path = root / "runs" / "new" / "journal.jsonl"
    with Journal(path) as journal:
        journal.start(id="new", name="x", title="x")
        journal.metrics(1, {"train/nll": 1.0})
    with path.open("ab") as file:
        file.write(b"0000")
    assert faults(root) == {}
    assert "runs/new/journal.jsonl: the last line is incomplete; the run did not finish" in notes(root)
    with flipped(path, 100):
        assert found(root) == {"runs/new/journal.jsonl": "line 1: the checksum does not fit the record"}


def test_bytes_after_the_end_of_a_run_are_a_fault(root: Path) -> None:
    path = root / "runs" / "new" / "journal.jsonl"
    with Journal(path) as journal:
        journal.start(id="new", name="x", title="x")
        journal.end("FINISHED")
    with path.open("ab") as file:
        file.write(b"0000")
    assert found(root) == {"runs/new/journal.jsonl": "has data after its end record"}


def test_record_out_of_order_is_a_fault(root: Path) -> None:
    path = root / "runs" / "new" / "journal.jsonl"
    path.parent.mkdir()
    with path.open("wb") as file:
        append_record(file, {"kind": "end", "status": "FINISHED"})
    assert found(root) == {"runs/new/journal.jsonl": "has a record of kind 'end' before its start"}


def test_artifact_in_no_runs_record_is_a_note(root: Path) -> None:
    place = root / "mlartifacts" / "x"
    place.mkdir()
    for name in ("a", "b"):
        (place / name).touch()
    assert faults(root) == {}
    assert notes(root) == ["mlartifacts/x/a and 1 more: in no run's record, not verified"]


def test_unreadable_file_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import piecewise.health.findings as module

    path = root / "runs" / "solo" / "training" / "model.safetensors"
    digest = module.digest_file

    def digest_file(asked: Path, algorithm: str = "sha256") -> str:
        if asked == path:
            raise OSError(5, "Input/output error")
        return digest(asked, algorithm)

    monkeypatch.setattr(module, "digest_file", digest_file)
    assert found(root) == {"runs/solo/training/model.safetensors": "cannot be read"}


def test_corrupt_database_is_a_fault(root: Path) -> None:
    path = root / "mlflow.db"
    for log in root.glob("mlflow.db-*"):  # the write-ahead log of the fixture's writer
        log.unlink()
    path.write_bytes(b"no database" * 1000)
    ((name, fault),) = faults(root).items()
    assert (name, fault.what) == ("mlflow.db", "file is not a database")
    assert fault.remedy == "piecewise sync --rebuild makes it again from the journals"


def test_locked_database_is_a_note(root: Path) -> None:
    with closing(sqlite3.connect(root / "mlflow.db", isolation_level=None)) as store:
        store.execute("PRAGMA locking_mode = EXCLUSIVE")
        store.execute("BEGIN EXCLUSIVE")
        (report,) = (report for report in verify(Project(root)) if report.kind == "MLflow store")
        assert (report.faults, report.notes) == ({}, ["mlflow.db: database is locked, not verified"])


def test_faults_are_printed_with_their_remedies(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "runs" / "solo" / "figures" / "learning_curves.svg").write_text("x")
    (root / "data" / "curve_1d" / "test.safetensors").unlink()
    assert main(Project(root), Arguments("verify", None, [], root)) == 1
    said = capsys.readouterr().out
    assert "\n  data/curve_1d/test.safetensors is missing\n    rm -rf data/curve_1d/test.safetensors; dvc chec" in said
    assert "\n  runs/solo/figures/learning_curves.svg was altered\n    rm -rf runs/solo/evaluation; piecewise" in said
    assert sum(line.endswith("  1 fault") for line in said.splitlines()) == 2
