"""The errors a user can cause, and the exit code each one ends with."""

import difflib
import errno
from collections.abc import Iterable

FULL = (errno.ENOSPC, errno.EDQUOT)  # the numbers of an OSError whose disk or quota is full


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


def with_exit_code(exit_code: int, message: str) -> PiecewiseError:
    """The error of another process, which ended with this code."""
    kinds = {kind.exit_code: kind for kind in (BadInput, NonFiniteLoss, TryAgain)}
    error = kinds.get(exit_code, PiecewiseError)(message)
    error.exit_code = exit_code
    return error


def nearest(name: str, allowed: Iterable[str]) -> str:
    """The allowed options as text, the one closest to `name` first: `did you mean 'width'? allowed: …`."""
    options = sorted(allowed)
    close = difflib.get_close_matches(name, options, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}allowed: {', '.join(options) or 'nothing'}"
