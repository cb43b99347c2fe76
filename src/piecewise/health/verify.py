"""`piecewise verify`: hash every kind of file again."""

from collections.abc import Iterator

from piecewise.health.artifacts import check_artifacts, check_store
from piecewise.health.dvc import check_cache, check_outs
from piecewise.health.findings import HashReport
from piecewise.health.runs import check_checkpoints, check_journals, check_runs
from piecewise.manifest import differences
from piecewise.project import Project

NOT_RECORDED = "in no out of dvc.lock"


def verify(project: Project) -> Iterator[HashReport]:
    """One report for each kind of file below the project's root."""
    of_cache, intact = check_cache(project)
    yield of_cache  # first: DVC would restore an out from a damaged object silently
    data, outs = check_outs(project, intact)
    _check_mnist(data)
    data.note_unhashed(project.data, NOT_RECORDED)
    yield data
    for folder in (project.build, project.results, project.report):
        outs.note_unhashed(folder, NOT_RECORDED)
    yield outs
    yield check_runs(project)
    yield check_checkpoints(project)
    yield check_artifacts(project)
    yield check_journals(project)
    yield check_store(project)


def _check_mnist(data: HashReport) -> None:
    """Compare the four files with the canonical digests, also if dvc.lock records others."""
    folder = data.project.data / "mnist"
    if not folder.is_dir():
        return
    from piecewise.data.idx import Mnist

    paths = {name: folder / name for name in Mnist.sha256}
    found = {name: data.digest(path) for name, path in paths.items() if path.is_file()}
    for name, what in differences(Mnist.sha256, found).items():
        data.add_fault(paths[name], what, "rm -rf data/mnist; dvc repro fetch")
