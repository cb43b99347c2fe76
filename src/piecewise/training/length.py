"""How long a training is. These numbers are computed here alone; Lightning gets no limit of its own."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

from piecewise.data.resident import CHUNK_SIZE
from piecewise.errors import BadInput


@dataclass(frozen=True)
class Length:
    """Batches, optimizer steps and epochs of a training that does not stop early. Batches are global ones."""

    num_train: int  # examples that an epoch draws from
    num_val: int  # examples that each validation measures
    batch_size: int
    num_batches: int  # of each epoch
    accumulated: int  # batches for each optimizer step; the last step of an epoch takes those that are left
    max_epochs: int
    max_steps: int | None

    @classmethod
    def of(cls, num_train: int, num_val: int, batch_size: int, options: Mapping[str, Any]) -> Self:
        """The length that the Trainer's options give. Raises BadInput, naming the key, if a limit leaves nothing.

        `overfit_batches` chooses the first examples, those of so many batches; `limit_train_batches` ends each epoch.
        """
        batches = math.ceil(num_train / batch_size)
        if options.get("overfit_batches"):
            batches = _kept(batches, options, "overfit_batches")
            num_train = min(num_train, batches * batch_size)
        chunks = _kept(math.ceil(num_val / CHUNK_SIZE), options, "limit_val_batches", f" of {CHUNK_SIZE} examples")
        longest = options.get("max_steps")
        return cls(
            num_train=num_train,
            num_val=min(num_val, chunks * CHUNK_SIZE),
            batch_size=batch_size,
            num_batches=_kept(batches, options, "limit_train_batches"),
            accumulated=options.get("accumulate_grad_batches") or 1,
            max_epochs=options["max_epochs"],
            max_steps=None if longest in (None, -1) else longest,
        )

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(self.num_batches / self.accumulated)

    @property
    def steps(self) -> int:
        """Optimizer steps: those of all epochs, or `max_steps` if they are fewer."""
        steps = self.max_epochs * self.steps_per_epoch
        return steps if self.max_steps is None else min(steps, self.max_steps)

    @property
    def epochs(self) -> int:
        """Epochs that are begun; `max_steps` may end the last one early."""
        return math.ceil(self.steps / self.steps_per_epoch)

    @property
    def batches(self) -> int:
        """Batches of the whole training."""
        epochs, steps = divmod(self.steps, self.steps_per_epoch)
        return epochs * self.num_batches + steps * self.accumulated

    @property
    def last_epoch_batches(self) -> int:
        """Batches of the last epoch."""
        return self.batches - (self.epochs - 1) * self.num_batches

    @property
    def smallest_batch(self) -> int:
        """Examples in the last batch of an epoch; all others have `batch_size`."""
        return min(self.batch_size, self.num_train - (self.num_batches - 1) * self.batch_size)


def _kept(count: int, options: Mapping[str, Any], key: str, unit: str = "") -> int:
    """How many of `count` batches a limit leaves. It is a number (int) or a share (float), which is rounded down."""
    limit = options.get(key)
    if limit is None:
        return count
    # The decimal number that was typed: 0.29 * 100 is 28.999… in floating point.
    left = min(count, limit) if isinstance(limit, int) else int(count * Fraction(str(limit)))
    if left < 1:
        raise BadInput(f"trainer.{key}={limit} leaves nothing of {count} batch{'es' * (count > 1)}{unit}")
    return left
