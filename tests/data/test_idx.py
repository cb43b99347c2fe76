from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from piecewise.data.idx import FILES, AlteredFile, Idx, Mnist, read_header, read_idx
from piecewise.data.spec import TargetKind
from piecewise.errors import BadInput

PIXELS = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">2xBB{array.ndim}I", 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three training and two test images of 2 × 2 pixels in three classes."""
    arrays = [np.arange(12).reshape(3, 2, 2) * 20, np.array([0, 2, 1]), np.zeros((2, 2, 2)), np.array([1, 0])]
    for name, array in zip([*FILES["train"], *FILES["test"]], arrays, strict=True):
        (tmp_path / name).write_bytes(idx(array))
    return tmp_path


@pytest.mark.parametrize("array", [PIXELS, PIXELS[0], np.arange(5), np.zeros((0, 3))])
def test_reading_returns_the_written_array(tmp_path: Path, array: np.ndarray) -> None:
    path = tmp_path / "file"
    path.write_bytes(idx(array))
    assert read_header(path) == array.shape
    read = read_idx(path)
    assert read.dtype == torch.uint8
    np.testing.assert_array_equal(read.numpy(), array)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (idx(PIXELS)[:-1], r"has 39 bytes; an array of \(2, 3, 4\) needs 40"),
        (idx(PIXELS) + b"\0", "has 41 bytes"),
        (idx(PIXELS)[:9], "ends inside its header"),
        (b"", "begins with nothing"),
        (b"<!DOCTYPE html>", "is not an IDX file of unsigned bytes: it begins with 3c21444f"),
        (b"\0\0\x0d\x01" + idx(PIXELS)[4:], "begins with 00000d01"),
        (b"\0\0\x08\x00", "begins with 00000800"),
    ],
)
def test_a_damaged_idx_file_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "train-images"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=f"train-images.*{message}"):
        read_idx(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="train-images does not exist"):
        read_idx(tmp_path / "train-images")


def test_altered_bytes_are_refused(tmp_path: Path) -> None:
    path, data = tmp_path / "train-images", idx(PIXELS)
    recorded = hashlib.sha256(data).hexdigest()
    path.write_bytes(data)
    assert torch.equal(read_idx(path, recorded), read_idx(path))
    path.write_bytes(data[:-1] + b"\xff")
    with pytest.raises(AlteredFile, match=f"train-images was altered: .* recorded was {recorded}"):
        read_idx(path, recorded)


def test_pixels_are_scaled_and_get_a_channel(folder: Path) -> None:
    train = Idx(str(folder)).train(TargetKind.CLASS)
    assert train.x.shape == (3, 1, 2, 2)
    np.testing.assert_allclose(train.x.flatten(), np.arange(12) * 20 / 255, rtol=1e-6)
    assert (train.y.dtype, train.y.tolist()) == (torch.int64, [0, 2, 1])


def test_the_spec_comes_from_the_files(folder: Path) -> None:
    spec = Idx(str(folder)).spec()
    assert (spec.input_shape, spec.num_classes, spec.num_train, spec.num_test) == ((1, 2, 2), 3, 3, 2)
    assert spec.kinds == {TargetKind.CLASS}


def test_two_classes_can_also_be_read_as_binary(folder: Path) -> None:
    (folder / FILES["train"][1]).write_bytes(idx(np.array([0, 1, 1])))
    source = Idx(str(folder))
    assert source.spec().kinds == {TargetKind.CLASS, TargetKind.BINARY}
    assert source.train(TargetKind.BINARY).y.tolist() == [[0.0], [1.0], [1.0]]


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (FILES["train"][1], np.array([0, 1]), r"train-labels.* labels of shape \(2,\)"),
        (FILES["test"][1], np.zeros((2, 1)), r"t10k-labels.* labels of shape \(2, 1\)"),
        (FILES["test"][0], np.zeros((2, 3, 2)), r"training images are \[2, 2\], test images \[3, 2\]"),
    ],
)
def test_files_that_do_not_fit_together_are_refused(folder: Path, name: str, array: np.ndarray, message: str) -> None:
    (folder / name).write_bytes(idx(array))
    with pytest.raises(BadInput, match=message):
        Idx(str(folder)).spec()


def test_the_digest_depends_on_the_bytes_of_its_part(folder: Path) -> None:
    before = [Idx(str(folder)).digest(part) for part in ("train", "test")]
    (folder / FILES["test"][1]).write_bytes(idx(np.array([0, 0])))
    after = [Idx(str(folder)).digest(part) for part in ("train", "test")]
    assert before[0] == after[0]
    assert len({*before, *after}) == 3


def test_the_spec_of_mnist_needs_no_files() -> None:
    spec = Mnist("nowhere").spec()
    assert (spec.input_shape, spec.num_classes, spec.num_train, spec.num_test) == ((1, 28, 28), 10, 60_000, 10_000)


def test_mnist_refuses_files_with_other_hashes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AlteredFile, match="train-images-idx3-ubyte was altered"):
        Mnist(str(folder)).train(TargetKind.CLASS)
    ours = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    monkeypatch.setattr(Mnist, "sha256", ours)
    mnist, same = Mnist(str(folder)), Idx(str(folder))
    assert torch.equal(mnist.train(TargetKind.CLASS).x, same.train(TargetKind.CLASS).x)
    assert mnist.digest("train") == same.digest("train")
    monkeypatch.setitem(ours, "train-labels-idx1-ubyte", "0" * 64)
    with pytest.raises(AlteredFile, match="train-labels-idx1-ubyte was altered"):
        mnist.train(TargetKind.CLASS)
