"""The validation split of the training data. It has its own seed, so all jobs have the same split."""

import torch

from piecewise.data.randomness import generator
from piecewise.data.spec import Examples
from piecewise.errors import BadInput


def num_validation(num_examples: int, fraction: float) -> int:
    """How many of `num_examples` go to validation. Raises BadInput if either part would be empty."""
    count = round(num_examples * fraction)
    if not 0 < count < num_examples:
        raise BadInput(
            f"data.val_fraction={fraction} of {num_examples} training examples leaves {num_examples - count} to train "
            f"on and {count} to validate on; allowed: a fraction that leaves at least one on each side"
        )
    return count


def split(examples: Examples, fraction: float, split_seed: int) -> tuple[Examples, Examples]:
    """(train, val): `val` holds `fraction` of the examples, chosen by `split_seed`; both keep the original order."""
    count = num_validation(len(examples), fraction)
    is_val = torch.zeros(len(examples), dtype=torch.bool)
    is_val[torch.randperm(len(examples), generator=generator(split_seed, "split"))[:count]] = True
    return examples[~is_val], examples[is_val]
