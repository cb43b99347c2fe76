"""A table of numbers with a header line: one column is the target, all others are inputs."""

from __future__ import annotations

import csv
import hashlib
import warnings
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from piecewise.data.chance import generator
from piecewise.data.spec import DataSpec, Examples, TargetKind
from piecewise.errors import BadInput, nearest

MAX_CLASSES = 1000  # beyond this, whole-number targets are taken for quantities, not classes


class Csv:
    """Reads `path`, cuts `test_fraction` off by `test_seed` for the test, and standardises the inputs.

    Mean and standard deviation of the inputs come from the training part alone. The targets are left as they are.
    """

    name = "csv"

    def __init__(
        self, path: str, target: str, test_fraction: float = 0.2, test_seed: int = 0, standardise: bool = True
    ) -> None:
        self.path = Path(path)
        self.target = target
        self.test_fraction = test_fraction
        self.test_seed = test_seed
        self.standardise = standardise

    @cached_property
    def _header(self) -> list[str]:
        if not self.path.is_file():
            raise BadInput(f"data.path={self.path} does not exist")
        with self.path.open(newline="", encoding="utf-8-sig") as file:
            header = next(csv.reader(file), [])
        if self.target not in header:
            raise BadInput(f"data.target={self.target!r} is no column of {self.path}; {nearest(self.target, header)}")
        if len(set(header)) < len(header):
            twice = next(name for name in header if header.count(name) > 1)
            raise BadInput(f"{self.path} has more than one column {twice!r}")
        if len(header) < 2:
            raise BadInput(f"{self.path} has the target {self.target!r} and no other column to predict it from")
        return header

    @cached_property
    def _table(self) -> np.ndarray:
        """The numbers below the header, float64 (N, columns)."""
        header = self._header
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # an empty table is refused below, by name
                table = np.loadtxt(
                    self.path, delimiter=",", skiprows=1, ndmin=2, encoding="utf-8-sig", quotechar='"', comments=None
                )
        except ValueError as error:
            raise BadInput(f"{self.path} must hold numbers only, {len(header)} in each row: {error}") from error
        if len(table) < 4 or table.shape[1] != len(header):
            raise BadInput(f"{self.path} has {table.shape} numbers; wanted at least 4 rows of {len(header)}")
        if not np.isfinite(table).all():
            row, column = np.argwhere(~np.isfinite(table))[0]
            raise BadInput(f"{self.path}, row {row + 2}, column {header[column]!r}: {table[row, column]} is not finite")
        return table

    @cached_property
    def _test_rows(self) -> np.ndarray:
        """Which rows belong to the test set, bool (N,)."""
        count = len(self._table)
        num_test = round(count * self.test_fraction)
        if not 0 < num_test < count - 1:
            raise BadInput(
                f"data.test_fraction={self.test_fraction} of {count} rows leaves nothing to train or test on"
            )
        rows = np.zeros(count, dtype=bool)
        rows[torch.randperm(count, generator=generator(self.test_seed, "csv"))[:num_test].numpy()] = True
        return rows

    def spec(self) -> DataSpec:
        y = self._table[:, self._header.index(self.target)]
        kinds, num_classes = {TargetKind.REAL}, None
        if np.array_equal(y, y.round()) and y.min() >= 0 and y.max() < MAX_CLASSES:
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
        return hashlib.sha256(
            f"{part} {self.test_fraction} {self.test_seed}\n".encode() + self.path.read_bytes()
        ).hexdigest()

    def _examples(self, rows: np.ndarray, kind: TargetKind) -> Examples:
        column = self._header.index(self.target)
        inputs = np.delete(self._table, column, axis=1)
        if self.standardise:
            seen = inputs[~self._test_rows]
            inputs = (inputs - seen.mean(axis=0)) / np.where(seen.std(axis=0) > 0, seen.std(axis=0), 1.0)
        y: Tensor = torch.from_numpy(self._table[rows, column])
        return Examples(
            torch.from_numpy(inputs[rows]).float(),
            y.long() if kind is TargetKind.CLASS else y.float()[:, None],
        )
