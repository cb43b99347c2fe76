from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from piecewise.manifest import (
    MANIFEST,
    AlteredManifest,
    digest_file,
    manifest_faults,
    read_sealed,
    remove_manifest,
    update_manifest,
    write_manifest,
    write_sealed,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "a run"
    for name, data in (("journal.jsonl", b"{}\n"), ("training/weights", bytes(5000)), ("figures/ü.svg", b"<svg/>")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    write_manifest(folder)
    return folder


def test_digest_is_sha256_or_the_given_algorithm(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1, and RFC 1321, appendix A.5
    assert digest_file(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest_file(tmp_path / "abc", "md5") == "900150983cd24fb0d6963f7d28e17f72"


def test_unchanged_folder_has_no_faults(folder: Path) -> None:
    assert manifest_faults(folder) == {}
    before = (folder / MANIFEST).read_bytes()
    write_manifest(folder)
    assert (folder / MANIFEST).read_bytes() == before
    assert set(json.loads(before)["files"]) == {"journal.jsonl", "training/weights", "figures/ü.svg"}


def test_altered_missing_and_unexpected_files_are_named(folder: Path) -> None:
    (folder / "training" / "weights").write_bytes(bytes(4999) + b"\1")
    (folder / "journal.jsonl").unlink()
    (folder / "figures" / "more.svg").touch()
    expected = {
        "figures/more.svg": "was not there",
        "journal.jsonl": "is missing",
        "training/weights": "was altered",
    }
    assert manifest_faults(folder) == expected


def test_empty_folder_and_temporary_files_are_ignored(folder: Path) -> None:
    (folder / ".model.safetensors.123.tmp").write_bytes(b"half")
    (folder / "empty").mkdir()
    assert manifest_faults(folder) == {}


def test_any_flipped_bit_of_a_manifest_is_found(tmp_path: Path) -> None:
    path = tmp_path / MANIFEST
    write_sealed(path, {"files": {"a": "1"}})
    data = path.read_bytes()
    for bit in range(8 * len(data)):
        altered = bytearray(data)
        altered[bit // 8] ^= 1 << bit % 8
        path.write_bytes(altered)
        with pytest.raises(AlteredManifest):
            read_sealed(path)


def test_altered_manifest_is_named(folder: Path) -> None:
    with (folder / MANIFEST).open("ab") as file:
        file.write(b"\n")
    assert manifest_faults(folder) == {MANIFEST: "was altered"}


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b'"digest"', b"{}\n", b'{"digest": 1}', b"\xff" * 9])
def test_invalid_manifest_counts_as_altered(folder: Path, data: bytes) -> None:
    (folder / MANIFEST).write_bytes(data)
    assert manifest_faults(folder) == {MANIFEST: "was altered"}
    with pytest.raises(AlteredManifest, match=r"manifest\.json was altered"):
        update_manifest(folder, ["figures"])


def test_same_content_in_another_format_is_altered(folder: Path) -> None:
    content = json.loads((folder / MANIFEST).read_bytes())
    (folder / MANIFEST).write_text(json.dumps(content))
    assert manifest_faults(folder) == {MANIFEST: "was altered"}


def test_the_manifest_of_a_sweep_does_not_look_into_its_jobs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand jobs have tens of thousands of files, which other processes may add and remove."""
    for number in range(3):
        (folder / f"{number:04d}" / "figures").mkdir(parents=True)
        (folder / f"{number:04d}" / "journal.jsonl").touch()
    walk, seen = os.walk, list[str]()
    monkeypatch.setattr(os, "walk", lambda top: (seen.append(str(place[0])) or place for place in walk(top)))
    write_manifest(folder)
    assert not any("000" in Path(place).relative_to(folder).as_posix() for place in seen)


def test_manifest_of_a_sweep_leaves_out_its_jobs(folder: Path) -> None:
    (folder / "0000" / "training").mkdir(parents=True)
    (folder / "0000" / "journal.jsonl").touch()
    write_manifest(folder)
    assert {"figures/ü.svg", "journal.jsonl"} <= set(read_sealed(folder / MANIFEST)["files"])
    (folder / "0000" / "training" / "weights").touch()
    assert manifest_faults(folder) == {}
    (folder / "figures" / "ü.svg").unlink()
    assert manifest_faults(folder) == {"figures/ü.svg": "is missing"}


def test_update_records_only_the_named_changes(folder: Path) -> None:
    (folder / "figures" / "ü.svg").unlink()
    (folder / "figures" / "new.svg").write_bytes(b"<svg></svg>")
    (folder / "figures2").touch()
    (folder / "training" / "weights").write_bytes(b"damaged")
    (folder / "journal.jsonl").write_bytes(b"{}\n{}\n")
    update_manifest(folder, ["figures", "journal.jsonl"])
    assert manifest_faults(folder) == {"figures2": "was not there", "training/weights": "was altered"}


def test_update_creates_no_manifest(folder: Path) -> None:
    remove_manifest(folder)
    remove_manifest(folder)
    update_manifest(folder, ["figures"])
    assert not (folder / MANIFEST).exists()


def test_file_name_that_is_not_utf8_can_be_recorded(folder: Path) -> None:
    (folder / "caf\udce9").write_bytes(b"x")
    write_manifest(folder)
    assert manifest_faults(folder) == {}
    (folder / "caf\udce9").write_bytes(b"y")
    assert manifest_faults(folder) == {"caf\udce9": "was altered"}


def test_sealed_content_is_read_as_written(tmp_path: Path) -> None:
    content = {"files": {"b": "1", "a": "é"}}
    write_sealed(tmp_path / "x.json", content)
    assert read_sealed(tmp_path / "x.json") == content
