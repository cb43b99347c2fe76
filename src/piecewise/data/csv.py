"""A table of numbers with a header line: one column is the target, all others are inputs."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from piecewise.data.randomness import generator
from piecewise.data.spec import DataSpec, Examples, TargetKind
from piecewise.data.table import read_header, read_table
from piecewise.errors import BadInput, nearest

MAX_CLASSES = 1000  # targets with a larger whole number are quantities, not classes


@dataclass(frozen=True)
class Csv:
    """The table in `path`; `test_seed` chooses the `test_fraction` of its rows that are the test set.

    Inputs are standardised with the training rows' mean and standard deviation. Targets are not changed.
    """

    name = "csv"

    path: str
    target: str
    test_fraction: float = 0.2
    test_seed: int = 0
    standardise: bool = True

    @cached_property
    def _header(self) -> list[str]:
        header = read_header(Path(self.path))
        if self.target not in header:
            raise BadInput(
                f"data.target={self.target!r} is not a column of {self.path}; {nearest(self.target, header)}"
            )
        if len(header) < 2:
            raise BadInput(f"{self.path} has the target {self.target!r} and no other column to predict it from")
        return header

    @cached_property
    def _table(self) -> np.ndarray:
        """The numbers below the header, float64 (N, columns)."""
        return read_table(Path(self.path), min_rows=4)

    @cached_property
    def _test_rows(self) -> np.ndarray:
        """Which rows belong to the test set, bool (N,)."""
        count = len(self._table)
        num_test = round(count * self.test_fraction)
        if not 0 < num_test < count - 1:
            raise BadInput(
                f"data.test_fraction={self.test_fraction} of {count} rows leaves no rows to train on or to test on"
            )
        rows = np.zeros(count, dtype=bool)
        rows[torch.randperm(count, generator=generator(self.test_seed, "csv"))[:num_test].numpy()] = True
        return rows

    def spec(self) -> DataSpec:
        y = self._table[:, self._header.index(self.target)]
        kinds, num_classes = {TargetKind.REAL, TargetKind.ANGLE}, None
        if y.min() > 0:
            kinds |= {TargetKind.POSITIVE}
            if y.max() < 1:
                kinds |= {TargetKind.PROPORTION}
        if np.array_equal(y, y.round()) and y.min() >= 0:
            kinds |= {TargetKind.COUNT}
            if y.max() < MAX_CLASSES:
                kinds, num_classes = kinds | {TargetKind.CLASS}, 1 + int(y.max())
            if num_classes == 2:
                kinds |= {TargetKind.BINARY}
        num_test = int(self._test_rows.sum())
        shape = (len(self._header) - 1,)
        return DataSpec(self.name, shape, frozenset(kinds), 1, num_classes, len(y) - num_test, num_test)

    def train(self, kind: TargetKind) -> Examples:
        return self._examples(~self._test_rows, kind)

    def test(self, kind: TargetKind) -> Examples:
        return self._examples(self._test_rows, kind)

    def digest(self, part: str) -> str:
        head = f"{part} {self.test_fraction} {self.test_seed}\n".encode()
        return hashlib.sha256(head + Path(self.path).read_bytes()).hexdigest()

    def inputs(self, path: Path) -> Tensor:
        """The examples in another table. Its columns may be in another order; the target's column is not needed."""
        wanted = [name for name in self._header if name != self.target]
        header = read_header(path)
        for name in wanted:
            if name not in header:
                raise BadInput(f"{path} has no column {name!r}; {nearest(name, header)}")
        return self._standardised(read_table(path)[:, [header.index(name) for name in wanted]])

    def _examples(self, rows: np.ndarray, kind: TargetKind) -> Examples:
        column = self._header.index(self.target)
        y: Tensor = torch.from_numpy(self._table[rows, column])
        return Examples(
            self._standardised(np.delete(self._table[rows], column, axis=1)),
            y.long() if kind is TargetKind.CLASS else y.float()[:, None],
        )

    def _standardised(self, inputs: np.ndarray) -> Tensor:
        if self.standardise:
            train = np.delete(self._table[~self._test_rows], self._header.index(self.target), axis=1)
            inputs = (inputs - train.mean(axis=0)) / np.where(train.std(axis=0) > 0, train.std(axis=0), 1.0)
        return torch.from_numpy(inputs).float()
