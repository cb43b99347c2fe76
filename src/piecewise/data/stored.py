"""Data sets computed from parameters, with an optional copy on disk whose digest is checked at each read."""

import hashlib
import inspect
import json
import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from piecewise.data.idx import AlteredFile
from piecewise.data.spec import TARGET_RANGES, DataSpec, Examples, TargetKind
from piecewise.data.table import read_table
from piecewise.durable import write_atomic
from piecewise.errors import BadInput
from piecewise.source import digest_code, files_of, reached

# Files that data sets import and that decide no example: how examples are described and stored, and errors.
NOT_IN_A_RECIPE = ("__init__.py", "data/__init__.py", "data/spec.py", "data/stored.py", "errors.py")


@dataclass(frozen=True)
class Generated(ABC):
    """A data set that piecewise computes. The examples depend on the code and on `parameters` alone."""

    low: ClassVar[float] = -math.inf  # the smallest possible number in x
    high: ClassVar[float] = math.inf  # and the largest
    packages: ClassVar[tuple[str, ...]] = ()  # which compute the examples, besides torch
    units: ClassVar[tuple[str, str]] = ("1", "1")  # physical units of x and y; "1" means dimensionless

    name: ClassVar[str]
    kind: ClassVar[TargetKind]
    folder: str | None = field(default=None, kw_only=True)

    @property
    def parameters(self) -> dict[str, Any]:
        """All fields except `folder`, which does not affect the examples."""
        return {key: value for key, value in asdict(self).items() if key != "folder"}

    @abstractmethod
    def spec(self) -> DataSpec: ...

    @abstractmethod
    def generate(self, part: str) -> Examples:
        """The examples of the part "train" or "test"."""

    def target_range(self) -> tuple[float, float]:
        """The smallest and the largest possible y, in the unit of y."""
        spec = self.spec()
        numbers = {TargetKind.CLASS: spec.num_classes, TargetKind.RANKING: spec.num_targets}.get(self.kind)
        return TARGET_RANGES[self.kind] if numbers is None else (0, numbers - 1)

    def inputs(self, path: Path) -> Tensor:
        """Read inputs from a table with one column for each. Raises BadInput if the number of columns is wrong."""
        table, count = torch.from_numpy(read_table(path)).float(), self.spec().num_inputs
        if table.shape[1] != count:
            raise BadInput(f"{path} has {table.shape[1]} columns; the model takes {count}")
        return table.reshape(-1, *self.spec().input_shape)

    def train(self, kind: TargetKind) -> Examples:
        return self.read("train")

    def test(self, kind: TargetKind) -> Examples:
        return self.read("test")

    def digest(self, part: str) -> str:
        return digest_examples(self.read(part))

    def file(self, part: str) -> Path | None:
        """Where the stage `synthesise` stores the part; None without a folder. The file need not exist."""
        return None if self.folder is None else Path(self.folder) / f"{part}.safetensors"

    def read(self, part: str) -> Examples:
        """The stored examples if they were made by the current `recipe`; otherwise generate them.

        Raises AlteredFile if the stored file is unreadable or its digest does not fit.
        """
        path = self.file(part)
        if path is None or not path.is_file():
            return self.generate(part)
        try:
            with safe_open(path, framework="pt") as stored:
                about = json.loads((stored.metadata() or {})["piecewise"])
                digest, recipe = about["digest"], about["recipe"]
                examples = Examples(stored.get_tensor("x"), stored.get_tensor("y"))
        except (SafetensorError, KeyError, ValueError) as error:
            raise AlteredFile(path, f"unreadable ({error})", "a file written by synthesise") from error
        if digest_examples(examples) != digest:
            raise AlteredFile(path, digest_examples(examples), digest)
        return examples if recipe == self.recipe() else self.generate(part)

    def recipe(self) -> dict[str, Any]:
        """What a stored copy must agree with: all that decides the examples.

        These are name and parameters, the code of the class and of what it imports, and the versions of `packages`.
        """
        start = files_of(type(self).__module__) or (Path(inspect.getfile(type(self))),)
        return {
            "name": self.name,
            "parameters": self.parameters,
            "code": digest_code(reached(start, NOT_IN_A_RECIPE.__contains__)),
            "packages": {name: version(name) for name in self.packages},
        }

    def write(self, part: str, path: Path) -> None:
        """Generate the part and write it to `path`, with its recipe and digest in the file's header."""
        examples = self.generate(part)
        about = {"recipe": self.recipe(), "digest": digest_examples(examples)}
        # One metadata entry: safetensors does not keep the order of several, and the file must be the same each time.
        metadata = {"piecewise": json.dumps(about, sort_keys=True)}
        write_atomic(path, save({"x": examples.x, "y": examples.y}, metadata))


def digest_examples(examples: Examples) -> str:
    """SHA-256 over type, shape and bytes of x and y."""
    return digest_tensors({"x": examples.x, "y": examples.y})


def digest_tensors(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over name, type, shape and bytes of each tensor, sorted by name."""
    hashed = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        hashed.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        hashed.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return hashed.hexdigest()
