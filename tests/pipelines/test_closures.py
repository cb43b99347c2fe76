"""Every stage of all shipped experiments, run in a fresh interpreter, imports and reads exactly what it depends on."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from piecewise.jobs.source import STAGES, closure, is_left_out, targets
from piecewise.source import name_of
from shipped import copy_shipped
from small_project import ROOT, Pipeline, make_small

pytestmark = pytest.mark.slow

DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text())
DATA_OF: dict[str, str] = DVC["vars"][0]["data_of"]
# Every stage and what it works on, in the order of the pipeline.
RUNS = [
    ("fetch", ""),
    *(("synthesise", name) for name in DVC["stages"]["synthesise"]["matrix"]["name"]),
    *((stage, name) for stage in ("train", "evaluate") for name in DATA_OF),
    ("report", ""),
]
# Imported by files that are left out, and by no others.
ONLY_BY_LEFT_OUT = {
    "cli.py": {"process_settings.py"},  # permissions and telemetry
    "stages/run.py": {"data/__init__.py", "data/idx.py", "data/spec.py"},  # the error of an altered file
    "tracking/sync/sync_runs.py": {
        *("journal/writer.py", "journal/index.py", "journal/find.py"),  # writing a run, and the list of ended ones
        "jobs/comparable.py",  # which models are compared
    },
}
# What stages read without depending on it.
READ_BESIDE = {
    "train": {
        "build/tracking.json": "where MLflow is, which gets copies",
        "conf": "the question, as it was when it was trained, for a reader of the journal",
        "requirements.lock": "build/lock.txt says the same",
    },
    "report": {"build/tracking.json": "where MLflow is"},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """The shipped project with short experiments, composed."""
    pipeline = copy_shipped(tmp_path_factory.mktemp("closures") / "a project", *DATA_OF)
    make_small(pipeline.root)
    pipeline.edit("conf/config.yaml", "tracking: embedded", "tracking: none")
    pipeline.run(sys.executable, "pipelines/compose.py")
    return pipeline


def configs(root: Path, stage: str, name: str) -> list[dict[str, Any]]:
    """What compose has frozen for this stage."""
    if stage == "synthesise":
        return [json.loads((root / "build" / "data" / f"{name}.json").read_text())]
    if stage in ("train", "evaluate"):
        return [job["config"] for job in json.loads((root / "build" / "jobs" / f"{name}.json").read_text())["jobs"]]
    return []


def paths(stage: str, name: str, kind: str) -> list[str]:
    """The `deps` or the `outs` of a stage in dvc.yaml."""
    content = DVC["stages"][stage].get("do", DVC["stages"][stage])
    found = [*content[kind], *(content.get("metrics", []) if kind == "outs" else [])]
    for old, new in (("${key}", name), ("${item.name}", name), ("${item}", DATA_OF.get(name, ""))):
        found = [path.replace(old, new) for path in found]
    return found


@pytest.mark.parametrize(("stage", "name"), RUNS)
def test_a_stage_imports_and_reads_what_it_depends_on(project: Pipeline, stage: str, name: str, tmp_path: Path) -> None:
    """Each stage works on what those before it in RUNS have left."""
    watch = [sys.executable, str(ROOT / "tests" / "observed_stage.py"), str(tmp_path / "found.json")]
    project.run(*watch, f"pipelines/{stage}.py", *filter(None, [name]))
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["exit_code"] == 0

    held = {name_of(path) for path in closure(stage, targets(configs(project.root, stage, name)))}
    others = {f"src/piecewise/{file}" for file in held if not file.endswith(".py")}
    imported = {module.removeprefix("src/piecewise/") for module in found["modules"]}
    assert len(imported) > 15
    left_out = {file for file in imported if is_left_out(stage, file)}
    left_out |= set().union(*(files for by, files in ONLY_BY_LEFT_OUT.items() if by in left_out)) - held
    assert imported - left_out == {file for file in held if file.endswith(".py")}

    known = [*paths(stage, name, "deps"), *paths(stage, name, "outs"), *READ_BESIDE.get(stage, {}), "runs/pipeline"]
    assert others <= set(found["read"])
    known += others
    assert [path for path in found["read"] if not any(Path(path).is_relative_to(place) for place in known)] == []


def test_every_stage_is_among_the_runs() -> None:
    assert {stage for stage, _ in RUNS} == set(STAGES) == set(DVC["stages"]) - {"compose"}
