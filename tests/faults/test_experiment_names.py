"""An experiment of any name is planned, run and found again under it, or refused before anything is written."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from piecewise.commands.completion import complete
from piecewise.errors import BadInput
from piecewise.execution.job_folders import JobFolders
from piecewise.jobs.about import experiments
from piecewise.journal.find import find_run
from piecewise.journal.names import folder_name, is_valid
from piecewise.journal.run_folder import RunFolder, all_runs
from piecewise.journal.writer import Journal
from piecewise.planning.plan import plan_command_line, plan_experiment
from piecewise.project import Project
from trials import Trials

PLAIN = "abAB01_-"  # few letters: names collide and begin alike
ODD = " .=,:@é~$'\"[](){}#%*?\\+"
EXPERIMENT = """\
# @package _global_
about: {question: Why}
hydra: {sweeper: {params: {seed: "0,1"}}}
"""


def draw_name(rng: Random) -> str:
    """One to three parts; in one of four names a part has an odd character."""
    parts = ["".join(rng.choices(PLAIN, k=rng.randint(1, 4))) for _ in range(rng.choice([1, 1, 2, 2, 3]))]
    if rng.random() < 0.25:
        place = rng.randrange(len(parts))
        parts[place] = parts[place][:1] + rng.choice(ODD) + parts[place][1:]
    return "/".join(parts)


def test_hydra_reads_every_valid_name_as_typed_and_no_two_have_one_folder(trials: Trials) -> None:
    parser = OverridesParser.create()
    for rng in trials("names are read by Hydra as typed, and come back from their folders", 2000):
        name = draw_name(rng)
        if is_valid(name):
            assert parser.parse_override(f"experiment={name}").value() == name
            assert folder_name(name).replace("--", "/") == name


def test_experiments_are_found_again_by_their_names(project: Project, trials: Trials) -> None:
    for rng in trials("experiments of any name run and are found, or are refused", 200):
        name = draw_name(rng)
        path = project.conf / "experiment" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(EXPERIMENT)
        assert name in experiments(project.conf) or path.name.startswith(".")
        if is_valid(name):
            is_run_and_found(Project(), name)
        else:
            is_refused(project.conf, name)
        path.unlink()


def is_run_and_found(project: Project, name: str) -> None:
    """Record a single run, a sweep and a stage of the experiment, as `train` and `dvc repro` do."""
    assert f"experiment={name}" in complete(f"piecewise train experiment={name}")
    (solo,) = plan_command_line(project.conf, [f"experiment={name}"])
    swept = plan_command_line(project.conf, ["-m", f"experiment={name}"])
    assert [job.title for job in swept] == [f"{name} seed=0", f"{name} seed=1"]
    assert plan_experiment(project.conf, name) == swept
    single, sweep, stage = JobFolders.new([solo]), JobFolders.new(swept), JobFolders.of_stage(swept)
    for folders in (single, sweep):
        assert folders.root.parent == project.runs
        assert folders.root.name == f"{folders.id}-{folder_name(name)}"
        begin(folders.parent, folders.id, name, name)
        for number, folder in enumerate(folders.jobs if len(folders.jobs) > 1 else []):
            begin(folder, f"{folders.id}.{number}", name, f"{name} seed={number}")
            assert find_run(project, f"{folders.root.name}/{number:04d}").folder == folder
        for wanted in (folders.id, folders.root.name, str(folders.root)):
            assert find_run(project, wanted).folder == folders.parent
    begin(stage.jobs[0], f"{single.id}-stage", name, f"{name} in the pipeline")
    assert find_run(project, f"{name} in the pipeline").folder == stage.jobs[0]
    found = {folder.journal for folder in all_runs(project)}
    assert found > {stage.jobs[0].journal, *(run.journal for run in sweep.jobs)}
    shutil.rmtree(project.runs)


def begin(folder: RunFolder, run_id: str, name: str, title: str) -> None:
    with Journal(folder.journal) as journal:
        journal.start(id=run_id, name=name, title=title)


def is_refused(conf: Path, name: str) -> None:
    before = sorted(conf.parent.rglob("*"))
    for planned in (
        lambda: plan_command_line(conf, [f"experiment={name}"]),
        lambda: plan_command_line(conf, ["-m", f"experiment={name}"]),
        lambda: plan_experiment(conf, name),
    ):
        with pytest.raises(BadInput) as refused:
            planned()
        assert "\n" not in str(refused.value)
    assert sorted(conf.parent.rglob("*")) == before
