from __future__ import annotations

import json
from pathlib import Path

import pytest

from piecewise.journal.run_folder import RunFolder


def test_single_run_is_below_one_folder() -> None:
    folder = RunFolder.at(Path("runs/x"))
    found = [folder.journal, folder.job, folder.weights, folder.result, folder.metrics, folder.arrays]
    assert [path.as_posix() for path in found] == [
        "runs/x/journal.jsonl",
        "runs/x/training/job.json",
        "runs/x/training/model.safetensors",
        "runs/x/training/result.json",
        "runs/x/evaluation/metrics.json",
        "runs/x/evaluation/arrays.safetensors",
    ]
    assert (folder.figures, folder.checkpoints) == (Path("runs/x/figures"), Path("runs/x/checkpoints"))


def test_outs_of_a_stage_hold_no_journal_and_no_checkpoints() -> None:
    """No output of a stage may hold a journal or live checkpoints: their bytes differ from run to run."""
    folder = RunFolder.of_stage("line", "lr=1")
    assert folder.job.as_posix() == "results/train/line/lr=1/job.json"
    assert folder.metrics.as_posix() == "results/evaluate/line/lr=1/metrics.json"
    for changing in (folder.journal, folder.checkpoints):
        for kept in (folder.training, folder.evaluation, folder.figures):
            assert not changing.is_relative_to(kept)


@pytest.mark.parametrize("folder", [RunFolder.at(Path("/a b/ü")), RunFolder.of_stage("line", "0")])
def test_from_text_is_the_inverse_of_as_text(folder: RunFolder) -> None:
    assert RunFolder.from_text(folder.as_text()) == folder


def test_text_with_a_part_missing_is_refused() -> None:
    parts = json.loads(RunFolder.at(Path("x")).as_text())
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'checkpoints'"):
        RunFolder.from_text(json.dumps(parts[:-1]))
