"""The README's table is written by a command, and nothing beside it."""

from __future__ import annotations

import pytest

from piecewise.cli import main
from piecewise.project import Project


def test_the_table_takes_the_place_between_the_comments(project: Project) -> None:
    readme = project / "README.md"
    readme.write_text("before\n<!-- results: made by us -->\nold | table\n<!-- end of results -->\nafter\n")
    assert main(["summary", "--readme"]) == 0
    first = readme.read_text()
    assert first.startswith("before\n<!-- results: made by us -->\n| experiment |")
    assert first.endswith("\n<!-- end of results -->\nafter\n")
    assert "old" not in first
    assert main(["summary", "--readme"]) == 0
    assert readme.read_text() == first


def test_a_readme_without_a_place_for_it_is_left_alone(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    readme = project / "README.md"
    readme.write_text("no comments\n")
    assert main(["summary", "--readme"]) == 2
    assert "has no place for the table" in capsys.readouterr().err
    assert readme.read_text() == "no comments\n"
