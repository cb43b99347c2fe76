"""`piecewise regions`: joints and regions of a trained network."""

from __future__ import annotations

import pytest
import torch

from piecewise.analysis.trained import load_trained
from piecewise.cli import main
from piecewise.figures.plane import polygon_map
from piecewise.journal.find import find_run
from piecewise.project import Project
from piecewise.theory.joints import piecewise_linear
from piecewise.theory.pieces import count_pieces
from piecewise.theory.polygons import region_map
from small_project import TINY

Capture = pytest.CaptureFixture[str]


def trained(*options: str) -> None:
    assert main(["train", *TINY, *options, "evaluate=false"]) == 0


def test_joints_of_a_line_are_printed_and_drawn(project: Project, capsys: Capture) -> None:
    trained("model.width=6")
    capsys.readouterr()
    assert main(["regions", "last", "--range", "-1", "1", "--output", "joints.svg"]) == 0
    said = capsys.readouterr().out
    folder = find_run(project, "last").folder
    model = load_trained(folder).model
    function = piecewise_linear(model, -1.0, 1.0)
    assert function is not None
    header, *lines = said.splitlines()
    assert header.split() == ["from", "to", "slope", "intercept"]
    rows = [[float(word) for word in line.split()] for line in lines[: len(function.slopes)]]
    for row, start, end, slope in zip(rows, function.knots, function.knots[1:], function.slopes, strict=False):
        assert row[:3] == pytest.approx([float(start), float(end), float(slope)], rel=1e-5)
        with torch.no_grad():
            middle = torch.tensor([[(row[0] + row[1]) / 2]])
            assert float(model(middle)) == pytest.approx(row[3] + row[2] * float(middle), abs=1e-4)
    assert f"{len(function.slopes)} linear regions on [-1, 1] of at most 7" in said
    assert "<svg" in (project / "joints.svg").read_text()


def test_regions_of_a_plane_are_printed_by_their_size_and_drawn(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    trained("data=moons", "loss=bernoulli", "model=mlp", "model.width=7")
    below = project / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    capsys.readouterr()
    assert main(["regions", "last", "--range", "-2", "3", "-2", "2", "--all"]) == 0
    said = capsys.readouterr().out
    folder = find_run(project, "last").folder
    exact = region_map(load_trained(folder).model, (-2.0, 3.0, -2.0, 2.0))
    assert exact is not None
    count = len(exact.regions)
    shares = [float(line.split("%")[0]) for line in said.splitlines()[1 : count + 1]]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.1)
    assert (
        f"{count_pieces(exact)} linear regions on [-2, 3] × [-2, 2]\n{count} activation patterns of at most 841" in said
    )
    assert len(list(below.glob("*-regions.svg"))) == 1
    figure = polygon_map([region.vertices for region in exact.regions], exact.box)
    (axes,) = figure.axes
    assert len(axes.collections[0].get_paths()) == count
    assert axes.get_title(loc="left") == f"{count} activation patterns"


def test_a_plane_with_too_many_regions_is_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    trained("data=moons", "loss=bernoulli", "model=shallow", "model.width=30")
    capsys.readouterr()
    monkeypatch.setattr("piecewise.analysis.regions.MAX_REGIONS", 20)
    assert main(["regions", "last", "--range", "-9", "9", "-9", "9"]) == 2
    said = "there are more than 20 activation patterns on [-9, 9] × [-9, 9]; --range can name a smaller part"
    assert said in capsys.readouterr().err


def test_the_picture_names_the_output_that_it_shows(project: Project, capsys: Capture) -> None:
    trained("loss=heteroscedastic", "model.width=4")
    capsys.readouterr()
    assert main(["regions", "last", "--output", "r.svg"]) == 0
    count = int(capsys.readouterr().out.split(" linear regions on ")[0].split()[-1])
    title = f"{count} linear regions of 2 outputs, of which the first is drawn"
    assert title in (project / "r.svg").read_text()


@pytest.mark.parametrize(
    ("options", "arguments", "message"),
    [
        (
            ["model.activation=tanh"],
            [],
            "has 1 inputs and is a Shallow; regions are those of",
        ),
        ([], ["--range", "1", "0"], "--range 1 0 must be from and to for each of 1 inputs, each from below its to"),
        ([], ["--range", "0", "1", "2"], "--range 0 1 2 must be from and to for each of 1 inputs"),
        ([], ["--output", "x.png"], "x.png must be a file that ends in .svg"),
        ([], ["--range", "a"], "invalid float value: 'a'"),
    ],
)
def test_runs_and_options_without_regions_are_refused(
    project: Project, capsys: Capture, options: list[str], arguments: list[str], message: str
) -> None:
    trained(*options)
    capsys.readouterr()
    assert main(["regions", "last", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(project.root.glob("*.svg"))


def test_the_picture_names_the_unit_of_the_targets(project: Project) -> None:
    trained("data=waiting_times", "model.width=4")
    assert main(["regions", "last", "--output", "r.svg"]) == 0
    assert "<!-- y (s) -->" in (project / "r.svg").read_text()
