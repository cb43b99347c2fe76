"""The errors a user can cause, and the exit code each one ends with."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PiecewiseError(Exception):
    """Something went wrong that is not a bug: the message is all a user needs."""

    exit_code = 1
    is_reported = False  # whether the user has been told already


class BadInput(PiecewiseError, ValueError):
    """A configuration or an input file that cannot be used; nothing was started."""

    exit_code = 2


class NonFiniteLoss(PiecewiseError):
    """Training met a loss that is NaN or infinite."""

    exit_code = 3


class TryAgain(PiecewiseError):
    """Nothing is wrong with the job: a rank was lost, or something is busy."""

    exit_code = 75


def nearest(name: str, allowed: Iterable[str]) -> str:
    """The options in words, with the closest one to `name` first: `did you mean 'width'? allowed: …`."""
    options = sorted(allowed)
    close = difflib.get_close_matches(name, options, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}allowed: {', '.join(options) or 'nothing'}"
