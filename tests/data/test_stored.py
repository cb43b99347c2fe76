from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from piecewise.data.idx import AlteredFile
from piecewise.data.regression import Line
from piecewise.data.spec import Examples
from piecewise.data.stored import digest_examples, digest_tensors


def line(folder: Path, seed: int = 0) -> Line:
    return Line(num_train=3, num_test=2, seed=seed, folder=str(folder))


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "train.safetensors"
    line(tmp_path).write("train", path)
    return path


def same(a: Examples, b: Examples) -> bool:
    return torch.equal(a.x, b.x) and torch.equal(a.y, b.y)


def test_the_file_has_the_same_bytes_under_any_hash_seed(tmp_path: Path, stored: Path) -> None:
    line(tmp_path).write("train", tmp_path / "again")
    code = (
        "import sys; from pathlib import Path; from piecewise.data.regression import Line\n"
        "Line(num_train=3, num_test=2).write('train', Path(sys.argv[1]))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "elsewhere")], env=environment, check=True)
    assert stored.read_bytes() == (tmp_path / "again").read_bytes() == (tmp_path / "elsewhere").read_bytes()


def test_stored_examples_are_the_generated_ones(tmp_path: Path, stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generated = line(tmp_path).generate("train")
    monkeypatch.setattr(Line, "generate", None)  # reading the copy must not need it
    assert same(line(tmp_path).read("train"), generated)


def test_other_parameters_than_the_stored_ones_generate_anew(tmp_path: Path, stored: Path) -> None:
    other = line(tmp_path, seed=1)
    assert same(other.read("train"), other.generate("train"))
    assert not same(other.read("train"), line(tmp_path).read("train"))


def test_other_code_than_the_stored_one_generates_anew(
    tmp_path: Path, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("piecewise.data.stored.digest_code", lambda _: "another version")
    monkeypatch.setattr(Line, "generate", lambda *_: Examples(torch.ones(3, 1), torch.ones(3, 1)))
    assert line(tmp_path).read("train").x.tolist() == [[1.0], [1.0], [1.0]]


def test_without_a_stored_copy_the_examples_are_generated(tmp_path: Path) -> None:
    assert same(line(tmp_path).read("test"), Line(num_train=3, num_test=2).read("test"))
    assert list(tmp_path.iterdir()) == []


def test_every_flipped_bit_in_the_tensors_is_noticed(tmp_path: Path, stored: Path) -> None:
    whole = stored.read_bytes()
    (header,) = struct.unpack("<Q", whole[:8])
    assert len(whole) - 8 - header == 3 * 2 * 4
    for place in range(8 + header, len(whole)):
        stored.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(AlteredFile, match=r"train\.safetensors was altered"):
            line(tmp_path).read("train")


def test_no_flipped_bit_in_the_header_gives_other_examples(tmp_path: Path, stored: Path) -> None:
    whole, wanted = stored.read_bytes(), line(tmp_path).generate("train")
    (header,) = struct.unpack("<Q", whole[:8])
    for place in range(8 + header):
        stored.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            read = line(tmp_path).read("train")
        except AlteredFile:
            continue
        assert same(read, wanted), f"byte {place}"


@pytest.mark.parametrize("data", [b"", b"<html>", None])
def test_an_unreadable_file_is_refused(tmp_path: Path, stored: Path, data: bytes | None) -> None:
    stored.write_bytes(stored.read_bytes()[:-1] if data is None else data)
    with pytest.raises(AlteredFile, match=r"train\.safetensors was altered: .* unreadable"):
        line(tmp_path).read("train")


def test_a_digest_is_the_hash_of_names_types_shapes_and_bytes() -> None:
    tensors = {"b": torch.tensor([[1.5, -2.0]]), "a": torch.tensor([3])}
    by_hand = b"a torch.int64 (1,)\n" + struct.pack("<q", 3) + b"b torch.float32 (1, 2)\n" + struct.pack("<2f", 1.5, -2)
    assert digest_tensors(tensors) == hashlib.sha256(by_hand).hexdigest()


def test_a_digest_depends_on_type_shape_and_sign_of_zero() -> None:
    x = torch.zeros(2, 1)
    digests = {digest_examples(Examples(x, y)) for y in (x, -x, x.double(), x.flatten(), x.reshape(2, 1, 1))}
    assert len(digests) == 5
    spread = torch.arange(4.0).reshape(2, 2).T
    assert digest_tensors({"x": spread}) == digest_tensors({"x": spread.contiguous()}), "strides do not count"
