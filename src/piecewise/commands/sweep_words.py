"""The words of `piecewise train` that say what to do with a sweep that exists already: retry=1 and fresh=1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from piecewise.errors import BadInput

MEANINGS = {"retry": "which runs the failed jobs of a sweep again", "fresh": "which trains all jobs of a sweep anew"}
VALUES = {"0": False, "1": True, "false": False, "true": True}


@dataclass(frozen=True)
class SweepWords:
    """`words` are the others."""

    words: list[str]
    retry: bool
    fresh: bool

    def refuse_without_sweep(self, what: str = "-m with several jobs") -> None:
        """Raise BadInput if one of them was given for a single job."""
        for name, meaning in MEANINGS.items():
            if getattr(self, name):
                raise BadInput(f"{name}=1 needs a sweep: {what}; it is an option {meaning}")

    def refuse_fresh(self) -> None:
        """Raise BadInput for `fresh` where a sweep goes on."""
        if self.fresh:
            raise BadInput("fresh=1 trains all jobs anew, and resume goes on; allowed: piecewise train -m … fresh=1")


def read_sweep_words(words: Sequence[str]) -> SweepWords:
    """Separate these words from the others. Raises BadInput for another value, and for both at once."""
    others, found = [], dict.fromkeys(MEANINGS, False)
    for word in words:
        name, equals, value = word.partition("=")
        if name not in MEANINGS or not equals:
            others.append(word)
        elif value.lower() not in VALUES:
            raise BadInput(f"{word} is not allowed; allowed: {name}=1, {MEANINGS[name]}, or {name}=0")
        else:
            found[name] = VALUES[value.lower()]
    if all(found.values()):
        raise BadInput("retry=1 and fresh=1 do not go together: fresh=1 trains all jobs anew; allowed: one of them")
    return SweepWords(others, **found)
