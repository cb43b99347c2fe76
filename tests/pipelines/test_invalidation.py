"""After an edit, `dvc repro` runs exactly the stages that depend on it."""

from __future__ import annotations

import json
import os

import pytest

from small_project import EXPERIMENTS, Pipeline

pytestmark = pytest.mark.slow

GENERATED = {f"synthesise@{name}" for name in ("line", "curve_1d", "binary_1d", "mnist1d")}
TRAINED = {f"{stage}@{name}" for stage in ("train", "evaluate") for name in EXPERIMENTS}


def test_nothing_changed_runs_nothing(pipeline: Pipeline) -> None:
    assert pipeline.repro() == set()
    assert "up to date" in pipeline.run("dvc", "status")


def test_comments_and_unused_options_run_compose_only(pipeline: Pipeline) -> None:
    edits = [
        ("conf/model/cnn.yaml", "# Convolutions", "# The convolutions"),
        ("conf/experiment/mnist_cnn.yaml", "batch_size", "# a comment\nbatch_size"),
        ("src/piecewise/training/fit.py", '"""One training', '# a comment\n"""A training'),
        ("src/piecewise/models/cnn.py", "    return nn.Sequential(", "    # a comment\n    return nn.Sequential("),
        ("conf/model/mlp.yaml", "width: 100", "width: 101"),
        ("conf/tracking/server.yaml", "uri: ???", "uri: http://localhost:5000"),
        ("requirements.lock", "\ntorch==", "\n# a comment\ntorch=="),
    ]
    for file, old, new in edits:
        pipeline.edit(file, old, new)
    assert pipeline.repro() == {"compose"}
    for file, old, new in edits:
        pipeline.edit(file, new, old)
    assert pipeline.repro() == set()  # DVC's run cache has the results for the old files


@pytest.mark.parametrize(
    ("edits", "experiments"),
    [
        (
            [
                ("conf/model/cnn.yaml", "[16, 32, 64]", "[8, 16, 32]"),
                ("conf/experiment/least_squares.yaml", "lr: 0.8", "lr: 0.7"),
            ],
            ["mnist_cnn", "least_squares"],
        ),
        ([("src/piecewise/models/cnn.py", "nn.MaxPool2d(2)", "nn.MaxPool2d(2, 2)")], ["mnist_cnn"]),
    ],
)
def test_edit_retrains_exactly_the_experiments_that_use_it(
    pipeline: Pipeline, edits: list[tuple[str, str, str]], experiments: list[str]
) -> None:
    stages = {f"{stage}@{name}" for stage in ("train", "evaluate") for name in experiments}
    for file, old, new in edits:
        pipeline.edit(file, old, new)
    assert pipeline.repro() == {"compose", "report"} | stages
    for file, old, new in edits:
        pipeline.edit(file, new, old)
    assert pipeline.repro() == set()


def test_edited_figure_is_redrawn_without_training(pipeline: Pipeline) -> None:
    pipeline.edit("src/piecewise/figures/curves.py", '"optimizer step"', '"step"')
    assert pipeline.repro() == {"compose", "report"}
    pipeline.edit("src/piecewise/figures/curves.py", '"step"', '"optimizer step"')
    assert pipeline.repro() == set()


def test_dvc_finds_the_stages_that_run_a_changed_file(pipeline: Pipeline) -> None:
    """Without those that only follow them: nothing but `compose` runs here."""
    stages_of = {
        "src/piecewise/models/cnn.py": {"train@mnist_cnn", "evaluate@mnist_cnn"},
        "src/piecewise/training/recorder.py": {f"train@{name}" for name in EXPERIMENTS},
        "src/piecewise/theory/polygons.py": {f"evaluate@{name}" for name in EXPERIMENTS},
        "src/piecewise/data/randomness.py": {*GENERATED, *TRAINED} - {"synthesise@mnist1d"},
        "src/piecewise/training/progress.py": set(),
        "pipelines/evaluate.py": {f"evaluate@{name}" for name in EXPERIMENTS},
        "src/piecewise/report/page.html": {"report"},
        "requirements.lock": {*GENERATED, *TRAINED, "report"},
    }
    for file, stages in stages_of.items():
        path = pipeline.root / file
        text = path.read_text()
        path.write_text(text + {".html": "<p>", ".py": "\nCHANGED = True\n", ".lock": "another==1.0\n"}[path.suffix])
        assert pipeline.repro("compose") == {"compose"}
        assert set(json.loads(pipeline.run("dvc", "status", "--json"))) == stages, file
        path.write_text(text)
    assert pipeline.repro() == set()


def test_altered_byte_is_restored_without_a_network(pipeline: Pipeline) -> None:
    path = pipeline.root / "data" / "mnist" / "t10k-images-idx3-ubyte"
    original = path.read_bytes()
    path.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
    (pipeline.root.parent / "mirror").rename(pipeline.root.parent / "away")
    assert pipeline.repro() == set()
    assert path.read_bytes() == original
    (pipeline.root.parent / "away").rename(pipeline.root.parent / "mirror")


def test_byte_altered_without_a_new_time_is_found_by_the_stage_and_restored(pipeline: Pipeline) -> None:
    path = pipeline.root / "data" / "mnist" / "train-images-idx3-ubyte"
    original, before = path.read_bytes(), path.stat()
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(bytes([original[-1] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    pipeline.edit("conf/experiment/mnist_cnn.yaml", "lr: 0.15", "lr: 0.14")
    output = pipeline.run("dvc", "repro", status=255)
    assert "was altered" in output
    assert "dvc repro" in output
    assert pipeline.repro() >= {"train@mnist_cnn", "report"}
    assert path.read_bytes() == original
    pipeline.edit("conf/experiment/mnist_cnn.yaml", "lr: 0.14", "lr: 0.15")
    assert pipeline.repro() == set()
