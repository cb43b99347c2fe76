"""Hydra calls the targets below the key `hydra`, so only the project's own config.yaml may have that key."""

from __future__ import annotations

import os

import pytest

from piecewise.errors import BadInput
from piecewise.planning.hydra_settings import refuse_hydra_settings
from piecewise.planning.plan import plan_command_line, plan_experiment
from piecewise.project import Project
from small_project import ROOT

EVIL = "{_target_: os.system, command: echo}"


@pytest.fixture(autouse=True)
def _fail_on_os_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "system", lambda command: pytest.fail("os.system was called"))


@pytest.mark.parametrize(
    ("override", "instead"),
    [
        (f"+hydra.callbacks.x={EVIL}", "of Hydra's settings, conf/config.yaml may have"),
        (f"hydra.launcher={EVIL}", "executor=pool executor.slots=N"),
        ("hydra/launcher=joblib", "executor=pool executor.slots=N"),
        ("hydra.launcher.n_jobs=4", "executor=pool executor.slots=N"),
        ("hydra/sweeper=optuna", "-m takes lists of values"),
        ("hydra.sweeper.n_trials=20", "-m takes lists of values"),
        ("hydra.sweeper.max_batch_size=2", "-m takes lists of values"),
        ("hydra.sweeper.params.seed='0,1'", "-m KEY=a,b"),
        ("hydra.searchpath=[pkg://this]", "hydra.searchpath in conf/config.yaml"),
        ("+model@hydra.callbacks.x=mlp", "may have searchpath"),
        ("hydra.run.dir=somewhere", "runs go to runs/"),
        ("hydra.sweep.dir=somewhere", "runs go to runs/"),
        ("hydra.sweep.subdir=x", "runs go to runs/"),
        ("hydra.output_subdir=here", "training/job.json"),
        ("hydra.job.chdir=true", "paths start at the project's root"),
        ("hydra.job.name=mine", "an experiment's file names its runs"),
        ("+hydra.job.env_set.X=1", "environment variables before the command"),
        ("hydra/job_logging=colorlog", "--quiet"),
        ("hydra/hydra_logging=disabled", "--quiet"),
        ("hydra.verbose=true", "PIECEWISE_DEBUG=1"),
        ("hydra.mode=MULTIRUN", "-m"),
        ("hydra.help.header=x", "hydra.help in conf/config.yaml"),
        ("hydra/help=default", "hydra.help in conf/config.yaml"),
        ("~hydra.launcher", "executor=pool executor.slots=N"),
        ("++hydra.x=1", "may have searchpath"),
        ("hydra=1", "may have searchpath"),
    ],
)
def test_arguments_that_set_hydra_are_refused(override: str, instead: str) -> None:
    with pytest.raises(BadInput) as refused:
        plan_command_line(ROOT / "conf", [override])
    message = str(refused.value)
    assert message.startswith(f"{override} is not allowed; ")
    assert instead in message


@pytest.mark.parametrize(
    "text",
    [
        f"hydra: {{callbacks: {{x: {EVIL}}}}}",
        f"hydra: {{sweeper: {EVIL}}}",
        f"hydra: {{job_logging: {{handlers: {{x: {EVIL}}}}}}}",
        "defaults: [override /hydra/launcher: joblib]",
        "defaults: [/model@hydra.callbacks: mlp]",
        "about: {question: '${oc.${about.source}:SECRET}', source: env}",
        "defaults: [override /model: '${oc.env:SECRET}']",
        "about: {question: '${now:%Y}'}",
        "seed: ${hydra.job.num}",
    ],
)
def test_files_that_set_hydra_or_read_the_environment_are_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("SECRET", "canary")
    (project / "conf" / "experiment" / "evil.yaml").write_text(f"# @package _global_\n{text}\n")
    for plan in (
        lambda: plan_command_line(project / "conf", ["experiment=evil"]),
        lambda: plan_experiment(project / "conf", "evil"),
    ):
        with pytest.raises(BadInput, match=r"evil\.yaml: .* is not allowed; ") as refused:
            plan()
        assert "canary" not in str(refused.value)
        assert "instead: " in str(refused.value) or "may have searchpath" in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        f"hydra: {{launcher: {EVIL}}}",
        pytest.param("hydra: {sweeper: {params: {seed: [0, 1]}}}", marks=pytest.mark.slow),
        "seed: ${hydra.job.num}",
    ],
)
def test_a_faulty_experiment_stops_only_the_jobs_that_are_made_of_it(project: Project, text: str) -> None:
    experiments = project / "conf" / "experiment"
    (experiments / "evil.yaml").write_text(f"# @package _global_\n{text}\n")
    (experiments / "heir.yaml").write_text("# @package _global_\ndefaults: [evil, _self_]\n")
    (experiments / "second.yaml").write_text("# @package _global_\ndefaults: [/experiment/evil.yaml, _self_]\n")
    for words in ([], ["experiment=least_squares"], ["-m", "experiment=least_squares,mnist1d", "seed=0,1"]):
        assert plan_command_line(project / "conf", words)
    assert plan_experiment(project / "conf", "least_squares")
    for words in (
        ["experiment=evil"],
        ["+experiment@about=evil"],
        ["experiment=heir"],
        ["experiment=second"],
        ["-m", "experiment=least_squares,heir"],
        ["-m", "experiment=glob(e*)"],
        ["experiment=evil", "--cfg", "job"],
    ):
        with pytest.raises(BadInput, match=r"evil\.yaml: .*; (allowed|instead): "):
            plan_command_line(project / "conf", words)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("hydra.run.dir", r"hydra\.run\.dir in hydra\.sweeper\.params is not allowed; instead: runs go to runs/"),
        ("+hydra/launcher", "instead: executor=pool executor.slots=N"),
        ("experiment", "experiment in hydra.sweeper.params is not allowed; instead: -m experiment=a,b"),
    ],
)
def test_keys_without_effect_are_refused_in_the_sweep_of_a_file(project: Project, key: str, message: str) -> None:
    text = f"# @package _global_\nhydra: {{sweeper: {{params: {{{key}: 'a,b'}}}}}}\n"
    (project / "conf" / "experiment" / "mine.yaml").write_text(text)
    with pytest.raises(BadInput, match=rf"mine\.yaml: .*{message}"):
        plan_experiment(project / "conf", "mine")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{launcher: {_target_: os.system}}", r"hydra\.launcher is not used; instead: executor=pool"),
        ("{sweeper: {max_batch_size: 3}}", r"hydra\.sweeper\.max_batch_size is not used; instead: -m takes"),
        ("{sweeper: {params: {seed: '0,1'}, n_jobs: 3}}", r"hydra\.sweeper\.n_jobs is not used"),
        ("{run: {dir: outputs}}", r"hydra\.run is not used; instead: runs go to runs/"),
        ("{job: {chdir: true}}", r"hydra\.job is not used; instead: an experiment's file names"),
        ("{mode: MULTIRUN}", r"hydra\.mode is not used; instead: -m"),
        ("{callbacks: {x: {_target_: os.system}}}", r"hydra\.callbacks is not used; of Hydra's settings"),
        ("${other}", r"hydra\.\$\{other\} is not used"),
    ],
)
def test_settings_that_would_be_ignored_are_refused_in_the_root(project: Project, text: str, message: str) -> None:
    path = project / "conf" / "config.yaml"
    path.write_text(path.read_text().partition("\nhydra:")[0] + f"\nhydra: {text}\n")
    with pytest.raises(BadInput, match=r"conf/config\.yaml: " + message if "other" not in text else "searchpath"):
        plan_command_line(project / "conf", [])


@pytest.mark.parametrize(
    "entry", ["override hydra/launcher: joblib", "/model@hydra.launcher: mlp", "hydra/launcher: x"]
)
def test_a_launcher_in_the_roots_defaults_is_refused_installed_or_not(project: Project, entry: str) -> None:
    path = project / "conf" / "config.yaml"
    path.write_text(path.read_text().replace("  - _self_\n", f"  - _self_\n  - {entry}\n"))
    with pytest.raises(BadInput, match=r"config\.yaml: .*launcher: \w+' in defaults is not allowed; .* executor=pool"):
        plan_command_line(project / "conf", ["-m", "seed=0,1"])


def test_a_package_header_that_names_hydra_is_refused(project: Project) -> None:
    (project / "conf" / "model" / "evil.yaml").write_text(f"# @package hydra.callbacks\nx: {EVIL}\n")
    with pytest.raises(BadInput, match=r"evil\.yaml"):
        refuse_hydra_settings(project / "conf", [])


def test_shipped_configurations_are_allowed(project: Project) -> None:
    refuse_hydra_settings(project / "conf", ["seed=0,1", "experiment=mnist_cnn"])
    assert plan_experiment(project / "conf", "least_squares")
