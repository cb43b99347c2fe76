"""The errors a user can cause, and the exit code each one ends with."""

import difflib
from collections.abc import Iterable


class PiecewiseError(Exception):
    """An error that is not a bug: its message is all that a user needs, without a traceback."""

    exit_code = 1
    is_reported = False  # whether its message has been printed


class BadInput(PiecewiseError, ValueError):
    """A configuration or an input file cannot be used; nothing was started."""

    exit_code = 2


class Unavailable(PiecewiseError, ValueError):
    """Something that this model or these data do not have, such as a closed form of dependent inputs."""


class NonFiniteLoss(PiecewiseError):
    """The training loss became NaN or infinite."""

    exit_code = 3


class TryAgain(PiecewiseError):
    """The same command may succeed later: a rank was lost, or something is busy."""

    exit_code = 75


def nearest(name: str, allowed: Iterable[str]) -> str:
    """The allowed options as text, the one closest to `name` first: `did you mean 'width'? allowed: …`."""
    options = sorted(allowed)
    close = difflib.get_close_matches(name, options, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}allowed: {', '.join(options) or 'nothing'}"
