"""Faults of a file that Hydra reads are named with the file and the remedy."""

from __future__ import annotations

import pytest

from piecewise.errors import BadInput
from piecewise.planning.plan import plan_command_line
from piecewise.project import Project


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"seed: 1\n", r"experiment/mine\.yaml does not begin with the line '# @package _global_'"),
        (b"# @package _global_\nabout: {expected: }\n", r"experiment/mine\.yaml: about\.expected: .* not Optional$"),
        (b"# @package _global_\nabout: {question: [1]}\n", r"mine\.yaml: about\.question: Cannot convert"),
        (b"# @package _global_\n# \xfc\n", r"not UTF-8, save as UTF-8: conf/experiment/mine\.yaml \(byte 22\)$"),
    ],
)
@pytest.mark.parametrize("words", [[], ["-m"], ["--cfg", "job"]])
def test_a_fault_in_an_experiments_file_is_named(
    project: Project, content: bytes, message: str, words: list[str]
) -> None:
    (project / "conf" / "experiment" / "mine.yaml").write_bytes(content)
    with pytest.raises(BadInput, match=message):
        plan_command_line(project / "conf", ["experiment=mine", *words])


@pytest.mark.parametrize("file", ["config.yaml", "model/shallow.yaml"])
def test_any_file_that_is_not_utf_8_is_named(project: Project, file: str) -> None:
    path = project / "conf" / file
    path.write_bytes(path.read_bytes() + b"\n# \xfc\n")
    with pytest.raises(BadInput, match=rf"not UTF-8, save as UTF-8: conf/{file} \(byte \d+\)$"):
        plan_command_line(project / "conf", [])


def test_names_that_no_experiment_may_have_are_not_offered(project: Project) -> None:
    for name in ("a b", "12", "good"):
        (project / "conf" / "experiment" / f"{name}.yaml").write_text("# @package _global_\n")
    for word in ("experiment=goood", "experiment=", "experiment=3", "experiment=x/good"):
        with pytest.raises(BadInput, match=r"allowed: .*\bgood\b") as refused:
            plan_command_line(project / "conf", [word])
        assert "a b" not in str(refused.value)
        assert "12" not in str(refused.value)
