"""The mirror records digests of the embedded store's artifacts and restores what is missing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from piecewise.analysis.draw import draw_run
from piecewise.analysis.evaluate import evaluate_run
from piecewise.execution.train import train
from piecewise.health.artifacts import check_artifacts
from piecewise.journal.run_folder import RunFolder
from piecewise.manifest import AlteredManifest
from piecewise.models.shallow import Shallow
from piecewise.planning.plan import plan_command_line
from piecewise.project import Project
from piecewise.tracking.mirror import artifact_digests
from piecewise.tracking.mirror import models as sent_models
from piecewise.tracking.mirror.artifact_digests import FOLDER
from piecewise.tracking.mirror.mirror import Mirror
from piecewise.tracking.mirror.uploads import Damaged
from piecewise.tracking.store.addresses import EMBEDDED, local_path
from piecewise.tracking.store.open import open_store
from small_project import TINY, new_project

# The warnings are MLflow's and torch.export's own.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("restore_tracking_uri")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a finished run and an empty store. It is copied for each test: making one takes seconds."""
    root = new_project(tmp_path_factory.mktemp("artifacts") / "a project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        (job,) = plan_command_line(root / "conf", TINY)
        folder = RunFolder.at(root / "runs" / "one")
        train(job, folder, {"id": "first"})
        evaluate_run(folder)
        draw_run(folder)
        open_store(EMBEDDED, Project(root))
    return root


@pytest.fixture
def project(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    copy = tmp_path / "a project"
    shutil.copytree(trained, copy)
    monkeypatch.chdir(copy)
    return Project(copy)


@pytest.fixture
def run(project: Project) -> RunFolder:
    return RunFolder.at(project / "runs" / "one")


@pytest.fixture
def push(run: RunFolder, project: Project) -> Callable[[], bool]:
    """Push the run and its model as a new process would. Returns whether anything was sent."""
    client = open_store(EMBEDDED, project)
    return lambda: Mirror(client, project).push(run, with_model=True) is not None


def artifacts(root: Path) -> dict[str, Path]:
    """The files in mlartifacts by name."""
    files = [path for path in (root / "mlartifacts").rglob("*") if path.is_file() and path.parent != root / FOLDER]
    return {path.name: path for path in files}


def recorded(root: Path) -> dict[str, str]:
    (manifest,) = (root / FOLDER).glob("*.json")
    files: dict[str, str] = json.loads(manifest.read_bytes())["files"]
    return files


def found(root: Path) -> dict[str, str]:
    return {Path(path).name: fault.what for path, fault in check_artifacts(Project(root)).faults.items()}


def models(root: Path) -> list[Any]:
    client = open_store(EMBEDDED, Project(root))
    return list(client.search_logged_models([item.experiment_id for item in client.search_experiments()]))


def test_every_artifact_is_recorded_and_a_second_push_does_nothing(push: Callable[[], bool], project: Project) -> None:
    assert push() is True
    assert {project / name for name in recorded(project)} == set(artifacts(project).values())
    assert {"model.yaml", "learning_curves.svg", "model.pt2", "MLmodel"} <= artifacts(project).keys()
    assert (found(project), check_artifacts(project).notes) == ({}, [])
    assert push() is False


def test_deleted_artifacts_are_pushed_again(push: Callable[[], bool], project: Project) -> None:
    push()
    (before,) = models(project)
    artifacts(project)["learning_curves.svg"].unlink()
    assert found(project) == {"learning_curves.svg": "is missing"}
    assert push() is True
    assert [model.model_id for model in models(project)] == [before.model_id]
    artifacts(project)["MLmodel"].unlink()
    assert found(project) == {"MLmodel": "is missing"}
    assert push() is True
    (after,) = models(project)  # the model that lost a file is deleted
    assert after.model_id != before.model_id
    assert found(project) == {}
    assert push() is False


def test_damage_is_not_recorded_as_correct(push: Callable[[], bool], run: RunFolder, project: Project) -> None:
    push()
    artifacts(project)["model.pt2"].write_bytes(b"damaged")
    artifacts(project)["learning_curves.svg"].write_bytes(b"damaged")
    (run.figures / "fitted_function.svg").write_text("<svg>drawn anew</svg>")
    assert found(project) == {"model.pt2": "was altered", "learning_curves.svg": "was altered"}
    assert push() is True
    assert found(project) == {"model.pt2": "was altered"}  # figures are always compared, and sent again
    assert artifacts(project)["fitted_function.svg"].read_text() == "<svg>drawn anew</svg>"


def test_file_that_arrives_altered_is_sent_again(
    push: Callable[[], bool], run: RunFolder, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copyfile

    def copy_wrong(path: Path, target: Path) -> None:
        copy(path, target)
        sent.append(path.name)
        if len(sent) in spoilt:
            target.write_text("half")

    sent: list[str] = []
    spoilt = {1}
    monkeypatch.setattr(artifact_digests, "copyfile", copy_wrong)
    assert push()
    assert sent[0] == sent[1]  # the second attempt arrived intact
    assert found(project) == {}
    (run.figures / "fitted_function.svg").write_text("<svg>drawn anew</svg>")
    sent.clear()
    spoilt = {1, 2}
    with pytest.raises(Damaged, match=r"fitted_function\.svg arrives as another file each time it is sent"):
        push()
    assert sent == ["fitted_function.svg"] * 2  # files that had arrived are not sent again
    assert found(project) == {"fitted_function.svg": "was altered"}


def test_altered_manifest_is_not_overwritten(push: Callable[[], bool], project: Project) -> None:
    push()
    (manifest,) = (project / FOLDER).glob("*.json")
    manifest.write_bytes(manifest.read_bytes() + b" ")
    assert found(project) == {manifest.name: "was altered"}
    with pytest.raises(AlteredManifest, match="was altered"):
        push()
    manifest.unlink()
    assert push() is True
    assert (found(project), len(models(project))) == ({}, 1)


def test_run_pushed_live_gets_its_model_at_the_final_push(
    push: Callable[[], bool], run: RunFolder, project: Project
) -> None:
    mirror = Mirror(open_store(EMBEDDED, project), project)
    assert mirror.push_live(run) is True
    assert models(project) == []
    assert push() is True
    assert len(models(project)) == 1
    assert "model.pt2" in {Path(name).name for name in recorded(project)}
    assert push() is False


@pytest.mark.parametrize("step", ["log_outputs", "create_model_version", "set_registered_model_alias"])
def test_model_is_registered_after_a_first_push_that_failed_midway(
    push: Callable[[], bool], project: Project, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    from mlflow import MlflowClient

    def fail(*arguments: Any, **options: Any) -> None:
        raise ConnectionError(step)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, step, fail)
        with pytest.raises(ConnectionError):
            push()
    assert push() is True
    (model,) = models(project)
    client = open_store(EMBEDDED, project)
    best = client.get_model_version_by_alias("curve_1d-shallow", "best")
    assert (best.source, best.run_id) == (f"models:/{model.model_id}", model.source_run_id)
    outputs = client.get_run(model.source_run_id).outputs.model_outputs
    assert [output.model_id for output in outputs] == [model.model_id]
    assert len(client.search_model_versions("name = 'curve_1d-shallow'")) == 1


def test_files_arrive_although_the_model_cannot_be_read(
    run: RunFolder, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: RunFolder) -> Any:
        raise RuntimeError("cut off")

    mirror = Mirror(open_store(EMBEDDED, project), project)
    monkeypatch.setattr(sent_models, "load_model", fail)
    with pytest.raises(RuntimeError, match="cut off"):
        mirror.push(run, with_model=True)
    assert {Path(name).name for name in recorded(project)} == artifacts(project).keys()
    assert found(project) == {}


def test_a_model_that_cannot_be_exported_is_left_out_once_and_for_all(
    run: RunFolder, project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as one whose path depends on the values of its inputs. The run is complete without it, and says so."""
    forward = Shallow.forward
    monkeypatch.setattr(Shallow, "forward", lambda self, x: forward(self, x if x.sum() > 0 else -x))
    client = open_store(EMBEDDED, project)
    assert "its model" not in str(Mirror(client, project).push(run, with_model=True))
    assert ": model in MLflow is left out: torch.export: " in capsys.readouterr().err
    (pushed,) = client.search_runs([client.get_experiment_by_name("curve_1d-shallow").experiment_id])
    assert pushed.info.status == "FINISHED"
    assert "data-dependent" in pushed.data.tags["left_out.model"]
    assert models(project) == []
    assert Mirror(client, project).push(run, with_model=True) is None


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///a%20b/%C3%A9", Path("/a b/é")),
        ("/a/b", Path("/a/b")),
        ("mlflow-artifacts:/1/2/artifacts", None),
        ("s3://bucket/x", None),
    ],
)
def test_only_addresses_on_this_machine_are_folders(uri: str, path: Path | None) -> None:
    assert local_path(uri) == path
