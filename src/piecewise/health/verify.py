"""Every kind of file that can be hashed again."""

from __future__ import annotations

from collections.abc import Iterator

from piecewise.health.artifacts import check_artifacts, check_store
from piecewise.health.dvc import check_cache, check_outs
from piecewise.health.hash_report import HashReport
from piecewise.health.runs import check_checkpoints, check_journals, check_runs
from piecewise.manifest import differences
from piecewise.project import Project

UNKNOWN = "in no out of dvc.lock"


def verify(project: Project) -> Iterator[HashReport]:
    """Hash everything below the project's root, kind by kind."""
    of_cache, intact = check_cache(project)
    yield of_cache  # first: DVC would restore an out from a damaged object without a word
    data, outs = check_outs(project, intact)
    _check_mnist(data)
    data.note_rest("data", UNKNOWN)
    yield data
    for folder in ("build", "results", "report"):
        outs.note_rest(folder, UNKNOWN)
    yield outs
    yield check_runs(project)
    yield check_checkpoints(project)
    yield check_artifacts(project)
    yield check_journals(project)
    yield check_store(project)


def _check_mnist(data: HashReport) -> None:
    """The four files against the digests of the canonical ones, whatever dvc.lock says."""
    folder = data.project.data / "mnist"
    if not folder.is_dir():
        return
    from piecewise.data.idx import Mnist

    paths = {name: folder / name for name in Mnist.sha256}
    found = {name: data.digest(path) for name, path in paths.items() if path.is_file()}
    for name, what in differences(Mnist.sha256, found).items():
        data.fault(paths[name], what, "rm -rf data/mnist; dvc repro fetch")
