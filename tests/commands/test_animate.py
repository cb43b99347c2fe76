"""`piecewise animate`: an animation of the fit during training."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from piecewise.analysis.animate import MAX_FRAMES, _evenly_spaced
from piecewise.cli import main
from piecewise.figures.animation import LAST_FRAME_MILLISECONDS, Frame, animate
from piecewise.jobs.job import Job
from piecewise.manifest import manifest_faults
from piecewise.project import Project
from small_project import TINY

Plan = Callable[..., list[Job]]
X = np.array([-1.0, 0.0, 1.0])


def test_each_frame_is_a_picture_and_the_last_one_is_shown_longest() -> None:
    frames = [Frame(step, X, X * step, np.array([0.0])) for step in range(3)]
    data = animate((X, X), frames, "y", 50)
    film = Image.open(io.BytesIO(data))
    assert film.n_frames == 3
    times, pictures = [], []
    for index in range(3):
        film.seek(index)
        times.append(film.info["duration"])
        pictures.append(np.asarray(film.convert("RGB")).tobytes())
    assert times == [50, 50, LAST_FRAME_MILLISECONDS]
    assert len(set(pictures)) == 3
    assert animate((X, X), frames, "y", 50) == data


@pytest.mark.parametrize("count", [1, 2, MAX_FRAMES, 10 * MAX_FRAMES])
def test_a_long_path_is_thinned_and_keeps_its_first_and_last_step(count: int) -> None:
    chosen = _evenly_spaced(count)
    assert (chosen[0], chosen[-1], len(chosen)) == (0, count - 1, min(count, MAX_FRAMES))
    assert chosen == sorted(set(chosen))


def test_the_animation_is_written_to_the_current_folder(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *TINY, "trainer.max_epochs=5", "evaluate=false"]) == 0
    (run,) = (project / "runs").glob("2*")
    below = project / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    assert main(["animate", "last", "--milliseconds", "20"]) == 0
    (film,) = below.glob("*.gif")
    with Image.open(film) as pictures:
        assert pictures.n_frames == 1 + 5 * 4  # before training, and after each step
    assert manifest_faults(run) == {}
    capsys.readouterr()
    for arguments, message in [
        (["--output", "film.mp4"], "must be a file that ends in .gif"),
        (["--milliseconds", "0"], "--milliseconds=0 must be from 10 to 10000"),
    ]:
        assert main(["animate", "last", *arguments]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["model.width=400"], "has no recorded path; only models of at most 1000 parameters have one"),
        (["data=mnist1d", "model=linear", "loss=categorical"], "has 40 inputs; only a function of one"),
    ],
)
def test_runs_and_options_that_cannot_be_animated_are_refused(
    project: Project, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    small = ["trainer=smoke", "tracking=none", "evaluate=false"]
    assert main(["train", *options, *small]) == 0
    capsys.readouterr()
    assert main(["animate", "last"]) == 2
    assert message in capsys.readouterr().err
    assert not list(project.root.glob("*.gif"))
