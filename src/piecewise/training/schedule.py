"""A learning-rate schedule. It is apart from the Lightning module: importing Lightning takes seconds.

A finished run's model is built without Lightning.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch.optim import Optimizer


@dataclass(frozen=True)
class Schedule:
    """A scheduler from torch.optim.lr_scheduler with its arguments, stepped once per `interval`.

    A scheduler with the argument `total_steps` or `T_max` receives the length of the training, in intervals.
    """

    make: Callable[..., Any]
    arguments: dict[str, Any]
    interval: Literal["step", "epoch"] = "step"

    def configure(self, optimizer: Optimizer, num_steps: int, num_epochs: int) -> dict[str, Any]:
        """The optimizer and scheduler in the form that Lightning's `configure_optimizers` returns."""
        accepted = inspect.signature(self.make).parameters
        total = num_steps if self.interval == "step" else num_epochs
        length = {key: total for key in ("total_steps", "T_max") if key in accepted and key not in self.arguments}
        scheduler = self.make(optimizer, **length, **self.arguments)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": self.interval}}
