"""MNIST-1D (Greydanus, 2020): signals of 40 numbers in ten classes, computed by the `mnist1d` package."""

import random
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from piecewise.data.spec import DataSpec, Examples, TargetKind
from piecewise.data.stored import Generated
from piecewise.errors import BadInput


@dataclass(frozen=True)
class Mnist1d(Generated):
    """4,000 training and 1,000 test examples by default. All other settings are the defaults of `mnist1d`."""

    name = "mnist1d"
    kind = TargetKind.CLASS
    packages = ("mnist1d",)

    num_examples: int = 5000
    seed: int = 42

    def __post_init__(self) -> None:
        if self.num_examples < 50 or self.num_examples % 10:
            raise BadInput(f"data.num_examples={self.num_examples} must be a multiple of 10, at least 50")

    def spec(self) -> DataSpec:
        num_train = int(self.num_examples * 0.8)
        return DataSpec(self.name, (40,), frozenset({self.kind}), 1, 10, num_train, self.num_examples - num_train)

    def generate(self, part: str) -> Examples:
        return self._parts[part]

    @cached_property
    def _parts(self) -> dict[str, Examples]:
        from mnist1d.data import get_dataset_args, make_dataset

        # make_dataset seeds the global random generators. Restore them, so that the rest of the program draws the same.
        states = random.getstate(), np.random.get_state(), torch.get_rng_state()
        try:
            arguments = get_dataset_args()
            arguments.num_samples, arguments.seed = self.num_examples, self.seed
            arrays = make_dataset(arguments)
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
            torch.set_rng_state(states[2])
        return {
            part: Examples(
                torch.from_numpy(arrays[f"x{suffix}"]).float(), torch.from_numpy(arrays[f"y{suffix}"]).long()
            )
            for part, suffix in (("train", ""), ("test", "_test"))
        }
