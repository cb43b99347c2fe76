"""A command or stage that finds nothing to work on says so and fails, instead of writing an empty result."""

from __future__ import annotations

from functools import partial

import pytest

from piecewise.cli import guarded, main
from piecewise.project import Project
from piecewise.stages import evaluate, report

NO_RESULTS = "error: build/about.json lists no experiments; dvc repro makes it, and the results\n"


@pytest.mark.parametrize("words", [["summary"], ["summary", "--markdown"], ["summary", "--readme"], ["report"]])
def test_without_results_there_is_neither_table_nor_page(
    project: Project, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    readme = "<!-- results: made -->\nold\n<!-- end of results -->\n"
    (project / "README.md").write_text(readme)
    assert main(words) == 1
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", NO_RESULTS.replace("build/", f"{project}/build/"))
    assert (project / "README.md").read_text() == readme
    assert not (project / "report").exists()


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (report.main, NO_RESULTS),
        (partial(evaluate.main, "line"), "error: results/train/line has no result; dvc repro train@line makes it\n"),
    ],
)
def test_a_stage_without_results_fails_in_one_line(
    project: Project, capsys: pytest.CaptureFixture[str], stage: partial[None], message: str
) -> None:
    assert guarded(stage) == 1
    assert capsys.readouterr().err.replace(f"{project}/", "") == message
    assert not (project / "report").exists()
    assert not (project / "results").exists()
