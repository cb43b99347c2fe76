"""What follows a training and is no metric: figures, a model for MLflow. One that cannot be made is left out."""

from collections.abc import Callable
from typing import TypeVar

from piecewise import stopping, terminal

Value = TypeVar("Value")


class Extras:
    """Makes the extras of `owner`, a run or a sweep. `left_out` says why an extra could not be made, by its name."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.left_out: dict[str, str] = {}

    def make(self, name: str, function: Callable[[], Value]) -> Value | None:
        """What `function` returns; None after an error, which the user is told. A signal still stops the command."""
        try:
            return function()
        except Exception as error:
            stopping.raise_if_stopped()  # the error may be how a library answered a signal
            self.left_out[name] = terminal.explain(error)
            terminal.warn(f"{self.owner}: {name} is left out: {self.left_out[name]}")
            return None
