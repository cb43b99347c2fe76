"""A damaged input file is either read as finite data or refused with BadInput."""

from __future__ import annotations

import struct
from pathlib import Path
from random import Random

import numpy as np
import torch

from piecewise.data.csv import Csv
from piecewise.data.idx import Idx
from piecewise.data.regression import Line
from piecewise.data.spec import DataSource, TargetKind
from piecewise.errors import BadInput
from trials import Trials

HTML = b"<!DOCTYPE html><html><head><title>404 Not Found</title></head><body>gone</body></html>"
TEXT = b'a,b,y\n1,2,0\n3,4,1\n"5",6,0\n7,8,1\n9,10,0\n1.5e3,-2,1\n0,0,0\n2,2,1\n'


def mutate(data: bytes, rng: Random) -> bytes:
    """The bytes with one random kind of damage."""
    place, length = rng.randrange(len(data)), rng.randrange(1, 9)
    kinds = {
        "flip": lambda: data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :],
        "cut": lambda: data[:place],
        "empty": lambda: b"",
        "zeroes": lambda: data[:place] + bytes(length) + data[place + length :],
        "insert": lambda: data[:place] + rng.randbytes(length) + data[place:],
        "remove": lambda: data[:place] + data[place + length :],
        "append": lambda: data + rng.randbytes(length),
        "double": lambda: data + data,
        "text": lambda: (
            data[:place] + rng.choice([b"nan", b"inf", b"x", b",", b"\n", b'"', b"#", b"1e999"]) + data[place:]
        ),
        "html": lambda: HTML,
        "noise": lambda: rng.randbytes(rng.randrange(200)),
        "bom": lambda: "\ufeff".encode() + data,
        "utf-16": lambda: data.decode("latin-1").encode("utf-16"),
    }
    return kinds[rng.choice(sorted(kinds))]()


def write_idx(folder: Path, rng: np.random.Generator) -> list[Path]:
    paths = []
    for part, count in (("train", 12), ("t10k", 6)):
        images, labels = rng.integers(0, 256, (count, 3, 3), np.uint8), np.arange(count, dtype=np.uint8) % 3
        for name, magic, array in (("images-idx3", 0x803, images), ("labels-idx1", 0x801, labels)):
            header = struct.pack(f">{1 + array.ndim}I", magic, *array.shape)
            paths.append(folder / f"{part}-{name}-ubyte")
            paths[-1].write_bytes(header + array.tobytes())
    return paths


def use(source: DataSource, kind: TargetKind) -> None:
    """Read all that training and evaluation read, and assert that it is complete and finite. BadInput may be raised."""
    spec = source.spec()
    for part, count in (("train", spec.num_train), ("test", spec.num_test)):
        if kind not in spec.kinds:
            continue
        examples = getattr(source, part)(kind)
        assert len(examples) == count > 0
        assert examples.x.shape[1:] == spec.input_shape
        assert bool(torch.isfinite(examples.x).all())
        assert bool(torch.isfinite(examples.y.float()).all())
        assert len(source.digest(part)) == 64


def test_mutated_files_are_read_or_refused(tmp_path: Path, trials: Trials) -> None:
    refused = []
    for rng in trials("mutated input files read right or refused", 500):
        kind = rng.choice(["csv", "idx", "stored"])
        folder = tmp_path / "data"
        folder.mkdir(exist_ok=True)
        source: DataSource
        if kind == "csv":
            (path := folder / "table.csv").write_bytes(TEXT)
            source, target = Csv(str(path), "y"), TargetKind.REAL
        elif kind == "idx":
            path = rng.choice(write_idx(folder, np.random.default_rng(rng.randrange(99))))
            source, target = Idx(str(folder)), TargetKind.CLASS
        else:
            source, target = Line(num_train=20, num_test=10, folder=str(folder)), TargetKind.REAL
            for part in ("train", "test"):
                source.write(part, folder / f"{part}.safetensors")
            path = folder / f"{rng.choice(['train', 'test'])}.safetensors"
        path.write_bytes(mutate(path.read_bytes(), rng))
        try:
            use(source, target)
        except BadInput as error:
            refused.append(str(error))
    assert refused
    assert all(refused)


def test_a_flipped_bit_in_stored_data_is_refused_or_changes_no_value(tmp_path: Path, trials: Trials) -> None:
    """So no training ever uses altered data."""
    source = Line(num_train=20, num_test=10, folder=str(tmp_path))
    wanted = source.generate("train")
    for rng in trials("flips in stored data found", 200):
        path = tmp_path / "train.safetensors"
        source.write("train", path)
        data = bytearray(path.read_bytes())
        place = rng.randrange(len(data))
        data[place] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(data))
        try:
            found = source.read("train")
        except BadInput:
            continue
        assert torch.equal(found.x, wanted.x)
        assert torch.equal(found.y, wanted.y)
