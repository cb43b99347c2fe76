"""`piecewise summary --readme` writes the README's table and changes nothing else."""

from __future__ import annotations

import pytest

from piecewise.cli import main
from piecewise.project import Project


@pytest.fixture(autouse=True)
def _no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("piecewise.report.results.collect", lambda project: [])


def test_the_table_between_the_comments_is_replaced(project: Project) -> None:
    readme = project / "README.md"
    readme.write_text("before\n<!-- results: made by us -->\nold | table\n<!-- end of results -->\nafter\n")
    assert main(["summary", "--readme"]) == 0
    first = readme.read_text()
    assert first.startswith("before\n<!-- results: made by us -->\n| experiment |")
    assert first.endswith("\n<!-- end of results -->\nafter\n")
    assert "old" not in first
    assert main(["summary", "--readme"]) == 0
    assert readme.read_text() == first


def test_a_readme_without_the_comments_is_not_changed(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    readme = project / "README.md"
    readme.write_text("no comments\n")
    assert main(["summary", "--readme"]) == 2
    assert "has no place for the table" in capsys.readouterr().err
    assert readme.read_text() == "no comments\n"


def test_a_report_that_was_not_made_is_not_named(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary"]) == 0
    assert "report  piecewise report" in capsys.readouterr().out
    (project / "report").mkdir()
    (project / "report" / "index.html").touch()
    assert main(["summary"]) == 0
    assert f"report  {project / 'report' / 'index.html'}" in capsys.readouterr().out
