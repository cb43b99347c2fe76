"""What each stage depends on, read from the source; tests/pipelines/test_closures.py compares it with what runs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from piecewise import source
from piecewise.jobs.source import LEFT_OUT, READ_BY, STAGES, _digest, closure, is_left_out, source_digest, targets
from piecewise.source import files_of, name_of, reached
from small_project import ROOT

# Files that import a module by a name that is no constant, or start a Python module as a process, and what runs then.
DYNAMIC = {
    "cli.py": "the verb typed; none in a stage",
    "stages/run.py": "the stage's module, where its closure begins",
    "jobs/targets.py": "the classes that a job names, where its closure begins too",
    "execution/ranks.py": "worker.py, which runs execution/train.py",
    "tracking/sync/background.py": "a copy to MLflow",
    "tracking/store/mlflow_internals.py": "a model for MLflow",
    "server/service.py": "a server",
    "server/embedded_ui.py": "a server",
    "server/supervisor.py": "a server",
}


def names(stage: str, *configs: Any) -> set[str]:
    return {name_of(path) for path in closure(stage, targets(list(configs)))}


def config_of(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "conf" / f"{name}.yaml").read_text())


OPTIONS = [f"{path.parent.name}/{path.stem}" for path in (ROOT / "conf").glob("*/*.yaml")]
TARGETED = [name for name in OPTIONS if "_target_: piecewise." in (ROOT / "conf" / f"{name}.yaml").read_text()]
NAMED = [name for name in TARGETED if not name.startswith("executor/")]


@pytest.mark.parametrize("stage", ["train", "evaluate"])
@pytest.mark.parametrize("option", NAMED)
def test_the_class_that_a_job_names_is_in_its_closure(stage: str, option: str) -> None:
    """Also if no shipped experiment names it."""
    config = config_of(option)
    (file,) = files_of(config["_target_"].rpartition(".")[0])[-1:]
    named = names(stage, {option.partition("/")[0]: config})
    assert name_of(file) in named
    assert named == names(stage) | {name_of(path) for path in reached([file], lambda name: is_left_out(stage, name))}
    assert source_digest(stage, {"x": config}) == source_digest(stage, {"y": {"z": config}})


def test_the_configurations_name_classes_of_every_room() -> None:
    assert {name.partition("/")[0] for name in NAMED} == {"data", "loss", "model"}
    assert len(NAMED) > 30


@pytest.mark.parametrize("option", sorted(set(TARGETED) - set(NAMED)))
def test_where_a_job_runs_changes_no_digest_of_its_source(option: str) -> None:
    assert source_digest("train", {"executor": config_of(option)}) == source_digest("train")


def test_without_jobs_a_training_depends_on_no_model_and_no_data_set() -> None:
    found = names("train")
    assert {name for name in found if name.startswith("losses/")} == {"losses/__init__.py", "losses/likelihood.py"}
    assert not found & {"models/mlp.py", "models/cnn.py", "data/regression.py", "data/csv.py", "data/mnist1d.py"}
    assert {"execution/train.py", "training/fit.py", "training/strategy.py", "process_settings.py"} <= found


def test_targets_are_found_wherever_a_job_names_them() -> None:
    config = {
        "a": {"_target_": "x.A", "b": {"_target_": "y.B"}},
        "c": None,
        "_target_": 3,
        "d": [1, {"_target_": "z.C"}],
        "e": {"f": 2},
    }
    assert list(targets(config)) == ["x.A", "y.B", "z.C"]
    assert list(targets(None)) == []


def test_a_script_brings_nothing_else_into_the_closure_of_its_stage() -> None:
    """So a project without pipelines/ has the same run keys as a checkout."""
    for stage in STAGES:
        script = ROOT / "pipelines" / f"{stage}.py"
        found = reached([script], lambda name, stage=stage: is_left_out(stage, name))
        assert {name_of(path) for path in found} - {"__init__.py", "stages/__init__.py"} == {f"pipelines/{stage}.py"}
        assert source_digest(stage, script=script) != source_digest(stage)


def test_the_list_of_what_is_left_out_names_files_that_exist_once_and_says_why() -> None:
    for left_out in LEFT_OUT:
        assert left_out.reason
        assert set(left_out.stages.split()) <= set(STAGES)
        assert all((source.PACKAGE / file).exists() for file in left_out.files.split()), left_out
    pairs = [(file, stage) for left in LEFT_OUT for file in left.files.split() for stage in left.stages.split()]
    assert len(pairs) == len(set(pairs))


def test_every_file_of_the_package_that_is_not_python_is_read_by_a_stage() -> None:
    files = {path for path in source.PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    files = {path for path in files if "conf" not in path.relative_to(source.PACKAGE).parts}
    held = {path for stage in STAGES for path in closure(stage)}
    assert source.PACKAGE / "report" / "page.html" in files
    assert files - held == set()
    assert all((source.PACKAGE / reader).is_file() for reader in READ_BY)


def test_every_import_that_the_source_does_not_name_is_accounted_for() -> None:
    dynamic = re.compile(r'import_module\(|__import__\(|runpy|PackageLoader\(|"-m", "piecewise|importlib\.resources')
    found = {name_of(path) for path in source.PACKAGE.rglob("*.py") if dynamic.search(path.read_text("utf-8"))}
    assert found - DYNAMIC.keys() == set(READ_BY)


TRAINED = {"train", "evaluate"}


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("training/fit.py", {"train"}),
        ("training/module.py", {"train"}),
        ("training/schedule.py", TRAINED),
        ("models/mlp.py", TRAINED),
        ("models/cnn.py", set()),
        ("losses/categorical.py", TRAINED),
        ("losses/gamma.py", set()),
        ("data/regression.py", {"synthesise"}),
        ("data/idx.py", {"fetch", "synthesise", *TRAINED}),
        ("data/sources.py", {"fetch"}),
        ("data/randomness.py", {"synthesise", *TRAINED}),
        ("journal/writer.py", {"train"}),
        ("theory/joints.py", {"evaluate"}),
        ("report/runs.py", {"evaluate", "report"}),
        ("report/results.py", {"report"}),
        ("report/page.html", {"report"}),
        ("figures/curves.py", {"report"}),
        ("analysis/compare.py", {"report"}),
        ("analysis/member.py", {"evaluate", "report"}),
        ("durable.py", set(STAGES)),
        ("__init__.py", set(STAGES)),
        ("terminal.py", {"report"}),
        ("stages/evaluate.py", {"evaluate"}),
        ("process_settings.py", {"train"}),  # other stages get it from cli.py alone, which is left out
        ("training/progress.py", set()),
        ("tracking/sync/sync_runs.py", set()),
        ("planning/check.py", set()),
        ("commands/train.py", set()),
    ],
)
def test_a_stage_depends_on_exactly_what_it_runs(file: str, stages: set[str]) -> None:
    job = {"model": config_of("model/mlp"), "data": config_of("data/mnist"), "loss": config_of("loss/categorical")}
    configs = {"train": job, "evaluate": job, "synthesise": config_of("data/line")}
    assert {stage for stage in STAGES if file in names(stage, configs.get(stage))} == stages


def test_a_changed_file_changes_the_digest_and_a_new_one_only_when_it_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(name: str, text: str) -> set[str]:
        before = {stage: source_digest(stage) for stage in STAGES}
        with (tmp_path / "package" / name).open("a") as file:
            file.write(text)
        source.read_code.cache_clear()
        _digest.cache_clear()
        return {stage for stage in STAGES if source_digest(stage) != before[stage]}

    shutil.copytree(source.PACKAGE, tmp_path / "package", ignore=shutil.ignore_patterns("__pycache__", "conf"))
    monkeypatch.setattr(source, "PACKAGE", tmp_path / "package")
    assert change("models/dropout.py", "\n# a comment\n") == set()
    assert change("models/bumps.py", "WIDTH = 3\n") == set()
    assert change("models/dropout.py", "\ndef f():\n    import piecewise.models.bumps\n") == TRAINED
    assert change("models/bumps.py", "DEPTH = 3\n") == TRAINED
    assert change("report/page.html", "<p>") == {"report"}
