"""`piecewise verify` finds a flipped bit in any file, and names the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from bit_flips import flip_trial, whole_project
from trials import Trials

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_a_flipped_bit_is_found(tmp_path: Path, trials: Trials) -> None:
    with whole_project(tmp_path / "a project") as root:
        for rng in trials("flipped bits found by piecewise verify, and named", 200):
            name, found = flip_trial(root, rng)
            assert set(found) == {name}
