"""Configurations in several folders are found in Hydra's order, and only in folders that a project may name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from piecewise.errors import BadInput
from piecewise.jobs.about import experiments, first_comment, groups, options, read_about
from piecewise.jobs.config_folders import SHIPPED, SHIPPED_NAME, config_folders, config_name, find_config
from piecewise.jobs.job import Job
from piecewise.planning.compose import read_fetch, read_group
from piecewise.planning.hydra_settings import refuse_hydra_settings
from piecewise.planning.plan import plan_experiment
from piecewise.project import Project
from small_project import ROOT, add_search_path

MINE = '# @package _global_\nabout: {question: "Mine?"}\ndefaults: [override /model: mlp, override /data: flat]\n'


@pytest.fixture
def several(project: Project) -> Project:
    """A project with an experiment in conf/, a data set in more/, and everything else from the package."""
    config = (project / "conf" / "config.yaml").read_text()
    (project / "conf").rename(project / "unused")
    files = {
        "conf/config.yaml": config,
        "conf/experiment/mine.yaml": MINE,
        "more/data/flat.yaml": (ROOT / "conf" / "data" / "line.yaml").read_text(),
    }
    for name, text in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    add_search_path(project, "more", SHIPPED_NAME)
    return project


def test_the_package_holds_the_configurations_of_the_checkout() -> None:
    assert SHIPPED.resolve() == ROOT / "conf"


def test_groups_and_options_of_all_folders_are_listed(several: Project) -> None:
    conf, shipped = several.conf, ROOT / "conf"
    assert config_folders(conf) == [conf, several / "more", SHIPPED]
    assert groups(conf) == groups(shipped)
    assert experiments(conf) == sorted([*experiments(shipped), "mine"])
    assert options(conf, "data") == sorted([*options(shipped, "data"), "flat"])
    assert read_about(conf, "mine") == {"question": "Mine?"}
    assert read_about(conf, "mnist_cnn") == read_about(shipped, "mnist_cnn")
    assert first_comment(conf, "model", "cnn") == first_comment(shipped, "model", "cnn")
    assert read_group(conf, "data", "flat") == read_group(shipped, "data", "line")
    assert read_fetch(conf) == read_fetch(shipped)


def test_options_in_sub_folders_are_named_by_their_path(project: Project) -> None:
    for name in ("chapter/fit", "chapter/deep/fit", ".hidden", "chapter/.#fit"):
        path = project.conf / "experiment" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert {"chapter/deep/fit", "chapter/fit", "mnist_cnn"} < set(experiments(project.conf))
    assert [name for name in experiments(project.conf) if "." in name] == []
    assert options(project.conf, "experiment/chapter") == ["deep/fit", "fit"]
    assert {"experiment", "experiment/chapter", "experiment/chapter/deep"} < set(groups(project.conf))


def test_a_group_that_has_only_sub_folders_is_a_group(tmp_path: Path) -> None:
    (tmp_path / "experiment" / "chapter").mkdir(parents=True)
    (tmp_path / "experiment" / "chapter" / "fit.yaml").touch()
    assert groups(tmp_path) == ["experiment", "experiment/chapter"]


def test_links_to_folders_are_followed_as_in_hydra_and_loops_end(project: Project) -> None:
    (project / "elsewhere").mkdir()
    (project / "elsewhere" / "fit.yaml").write_text("hydra: {callbacks: {x: {_target_: os.system}}}\n")
    (project.conf / "experiment" / "linked").symlink_to(project / "elsewhere")
    (project.conf / "experiment" / "loop").symlink_to(project.conf)
    assert "linked/fit" in experiments(project.conf)
    (fault,) = refuse_hydra_settings(project.conf, ()).values()
    assert "linked/fit.yaml: 'hydra.callbacks' is not allowed" in str(fault)


def test_experiments_of_all_folders_are_planned(several: Project, plan: Callable[..., list[Job]]) -> None:
    (job,) = plan("experiment=mine")
    assert (job.name, job.config.model.target) == ("mine", "piecewise.models.mlp.Mlp")
    (job,) = plan("experiment=least_squares")
    assert [job.digest] == [found.digest for found in plan_experiment(ROOT / "conf", "least_squares")]


def test_the_first_folder_with_a_file_wins(several: Project, plan: Callable[..., list[Job]]) -> None:
    for folder, width in (("more", 7), ("conf", 5)):
        path = several / folder / "model" / "shallow.yaml"
        path.parent.mkdir()
        path.write_text(f"# Mine\n_target_: piecewise.models.shallow.Shallow\nwidth: {width}\n")
        assert find_config(several.conf, "model/shallow.yaml") == path
        assert config_name(several.conf, path) == f"{folder}/model/shallow.yaml"
        assert first_comment(several.conf, "model", "shallow") == "Mine"
        assert plan("model=shallow")[0].frozen["model"]["width"] == width


def test_a_file_of_another_folder_that_sets_hydra_is_refused(several: Project, plan: Callable[..., list[Job]]) -> None:
    (several / "more" / "data" / "evil.yaml").write_text("# @package hydra.callbacks\nx: {_target_: os.system}\n")
    with pytest.raises(BadInput, match=r"evil\.yaml: .* is not allowed"):
        plan()


def test_a_group_of_the_package_cannot_be_null(several: Project, plan: Callable[..., list[Job]]) -> None:
    with pytest.raises(BadInput, match=r"scheduler=null is no option of scheduler; did you mean 'none'"):
        plan("scheduler=null")


@pytest.mark.parametrize(
    "entry",
    ["pkg://this", "pkg:/this", "file:///tmp", "/tmp", "..", ".", "conf/..", "nowhere", "${oc.env:HOME}", "link", 3],
)
def test_folder_outside_the_project_is_refused(
    project: Project, plan: Callable[..., list[Job]], entry: str | int
) -> None:
    (project / "link").symlink_to("/tmp")
    add_search_path(project, entry)
    for ask in (lambda: config_folders(project.conf), lambda: experiments(project.conf), plan):
        with pytest.raises(
            BadInput, match=r"conf/config\.yaml: hydra\.searchpath has .*; allowed: pkg://piecewise\.conf"
        ):
            ask()


@pytest.mark.parametrize("folder", ["more", "file://more", "conf/inner"])
def test_folder_inside_the_project_is_allowed(project: Project, plan: Callable[..., list[Job]], folder: str) -> None:
    path = project / folder.removeprefix("file://") / "data" / "flat.yaml"
    path.parent.mkdir(parents=True)
    path.write_text((ROOT / "conf" / "data" / "line.yaml").read_text())
    add_search_path(project, folder)
    assert plan("data=flat")


@pytest.mark.parametrize("text", ["hydra: ${other}\nother: {searchpath: [/tmp]}", "hydra: {searchpath: '${other}'}"])
def test_search_path_is_not_interpolated(project: Project, text: str) -> None:
    (project / "conf" / "config.yaml").write_text(text)
    with pytest.raises(BadInput, match=r"hydra\.searchpath has '\$\{other\}'"):
        config_folders(project.conf)


@pytest.mark.parametrize("text", [None, "hydra: [", "- a", "hydra:", "hydra: {searchpath:}", "\xff"])
def test_config_without_a_search_path_adds_no_folder(project: Project, text: str | None) -> None:
    path = project / "conf" / "config.yaml"
    path.unlink()
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    assert config_folders(project.conf) == [project.conf]


def test_the_package_is_no_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SHIPPED.parent / "models")
    assert Project.find().root == ROOT
