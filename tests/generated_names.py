"""Random names of experiments: short ones of few letters, so that they collide and begin alike."""

from __future__ import annotations

from random import Random

PLAIN = "abAB01_-"
ODD = " .=,:@é~$'\"[](){}#%*?\\+"


def draw_name(rng: Random) -> str:
    """One to three parts; in one of four names a part has an odd character."""
    parts = ["".join(rng.choices(PLAIN, k=rng.randint(1, 4))) for _ in range(rng.choice([1, 1, 2, 2, 3]))]
    if rng.random() < 0.25:
        place = rng.randrange(len(parts))
        parts[place] = parts[place][:1] + rng.choice(ODD) + parts[place][1:]
    return "/".join(parts)
