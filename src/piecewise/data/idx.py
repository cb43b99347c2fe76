"""The IDX format of MNIST, and data sets made of its four files."""

import hashlib
import math
import struct
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from piecewise.data.spec import DataSpec, Examples, TargetKind
from piecewise.errors import BadInput

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def read_header(path: Path) -> tuple[int, ...]:
    """The shape of the array in an IDX file of unsigned bytes.

    Raises BadInput for a missing file, another magic number or type, and a file whose length does not fit the shape.
    """
    if not path.is_file():
        raise BadInput(f"{path.absolute()} {'is not a file' if path.exists() else 'does not exist'}")
    with path.open("rb") as file:
        magic = file.read(4)
        if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] != 0x08 or not 1 <= magic[3] <= 4:
            raise BadInput(f"{path} is not an IDX file of unsigned bytes: it begins with {magic.hex() or 'nothing'}")
        sizes = file.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise BadInput(f"{path} ends inside its header")
    shape = struct.unpack(f">{magic[3]}I", sizes)
    expected = 4 + len(sizes) + math.prod(shape)
    if path.stat().st_size != expected:
        raise BadInput(f"{path} has {path.stat().st_size} bytes; an array of {shape} needs {expected}")
    return shape


def read_idx(path: Path, sha256: str | None = None) -> Tensor:
    """The uint8 array in an IDX file. Raises BadInput as `read_header`, and AlteredFile for another `sha256`."""
    shape = read_header(path)
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if sha256 is not None and found != sha256:
        raise AlteredFile(path, found, sha256)
    return torch.from_numpy(np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * len(shape)).reshape(shape).copy())


class AlteredFile(BadInput):
    """A data file whose digest differs from the recorded one."""

    def __init__(self, path: Path, found: str, expected: str) -> None:
        self.path = path
        super().__init__(f"{path} was altered: its SHA-256 is {found}, recorded was {expected}")


class Idx:
    """Four IDX files with MNIST's names in one folder. Pixels are scaled to [0, 1]; images get one channel."""

    name = "idx"
    sha256: dict[str, str] | None = None

    def __init__(self, path: str) -> None:
        self.folder = Path(path)

    @cached_property
    def _num_classes(self) -> int:
        return 1 + max(int(read_idx(self.folder / labels).max()) for _, labels in FILES.values())

    def spec(self) -> DataSpec:
        shapes = {part: read_header(self.folder / images) for part, (images, _) in FILES.items()}
        for part, (images, labels) in FILES.items():
            counts = read_header(self.folder / labels)
            if len(counts) != 1 or counts[0] != shapes[part][0] or counts[0] == 0:
                raise BadInput(f"{self.folder / labels} has labels of shape {counts}; {images} has {shapes[part]}")
        (num_train, *size), (num_test, *test_size) = shapes["train"], shapes["test"]
        if size != test_size:
            raise BadInput(f"{self.folder}: training images are {size}, test images {test_size}")
        kinds = frozenset({TargetKind.CLASS, TargetKind.BINARY} if self._num_classes == 2 else {TargetKind.CLASS})
        input_shape = (1, *size) if len(size) == 2 else tuple(size)
        return DataSpec(self.name, input_shape, kinds, 1, self._num_classes, num_train, num_test)

    def train(self, kind: TargetKind) -> Examples:
        return self._read("train", kind)

    def test(self, kind: TargetKind) -> Examples:
        return self._read("test", kind)

    def digest(self, part: str) -> str:
        hashes = [hashlib.sha256((self.folder / name).read_bytes()).hexdigest() for name in FILES[part]]
        return hashlib.sha256("".join(hashes).encode()).hexdigest()

    def inputs(self, path: Path) -> Tensor:
        """The images in another IDX file. Raises BadInput if they and the training images differ in size."""
        x, wanted = _scaled(read_idx(path)), self.spec().input_shape
        if x.shape[1:] != wanted:
            raise BadInput(f"{path} holds examples of shape {tuple(x.shape[1:])}; the model takes {wanted}")
        return x

    def _read(self, part: str, kind: TargetKind) -> Examples:
        images, labels = (read_idx(self.folder / name, (self.sha256 or {}).get(name)) for name in FILES[part])
        x = _scaled(images)
        return Examples(x, labels.long() if kind is TargetKind.CLASS else labels.float().unsqueeze(1))


def _scaled(images: Tensor) -> Tensor:
    return (images.unsqueeze(1) if images.ndim == 3 else images).float() / 255


class Mnist(Idx):
    """MNIST: 60,000 training and 10,000 test images of 28 × 28 pixels, verified to be the canonical files."""

    name = "mnist"
    sha256 = {  # noqa: RUF012
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    }

    def spec(self) -> DataSpec:
        """The facts of the canonical files. They need not have been fetched."""
        return DataSpec(self.name, (1, 28, 28), frozenset({TargetKind.CLASS}), 1, 10, 60_000, 10_000)

    def digest(self, part: str) -> str:
        for name in FILES[part]:
            read_header(self.folder / name)  # raises BadInput if it is missing; reading verifies its bytes
        return hashlib.sha256("".join(self.sha256[name] for name in FILES[part]).encode()).hexdigest()
