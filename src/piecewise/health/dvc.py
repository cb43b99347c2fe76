"""DVC's cache, and the outs of its stages, hashed again: DVC trusts a file whose size and time did not change."""

import shlex

from piecewise.dvc_files import FOLDER_SUFFIX, Cache, Out, folder_digest, is_intact_run, read_outs, tracked_files
from piecewise.errors import BadInput
from piecewise.health.findings import HashReport, removal
from piecewise.manifest import differences
from piecewise.project import Project


def check_cache(project: Project) -> tuple[HashReport, set[str]]:
    """Hash every object against its name; also returns the names of the intact ones."""
    report, cache, intact = HashReport("DVC cache", project), Cache.of(project), set()
    for path, name in cache.objects():
        if name is None:
            report.notes.append(f"{report.name(path)}: not an object of the cache, not verified")
        elif report.digest(path, "md5") == name.removesuffix(FOLDER_SUFFIX):
            intact.add(name)
        else:
            remedy = f"{removal(report.name(path))}; dvc repro, or dvc pull, brings it back if it is needed"
            report.add_fault(path, "does not match its name", remedy)
    for path in cache.runs():
        report.digest(path)
        if not is_intact_run(path):
            report.add_fault(path, "does not match its name", removal(report.name(path)))
    return report, intact


def check_outs(project: Project, intact: set[str]) -> tuple[HashReport, HashReport]:
    """Hash the outs in the workspace against dvc.lock: those in data/, and the others.

    intact: the names of the cache's intact objects, from which `dvc checkout` may restore.
    """
    data, others = HashReport("data", project), HashReport("DVC outs", project)
    try:
        outs = read_outs(project)
    except BadInput:
        others.add_fault(project.dvc_lock, "cannot be read", "git checkout dvc.lock")
        outs = []
    for out in outs:
        report = data if out.path.startswith("data/") else others
        path = project / out.path
        if not path.exists():
            report.notes.append(f"{out.path}: not here; dvc checkout or dvc repro brings it")
        elif out.is_folder:
            _check_folder(report, out, intact)
        elif report.digest(path, "md5") != out.digest:
            report.add_fault(path, "differs from dvc.lock", _restore(out, out.path, out.digest in intact))
    return data, others


def _check_folder(report: HashReport, out: Out, intact: set[str]) -> None:
    folder = report.project / out.path
    found = {name: report.digest(path, "md5") for name, path in tracked_files(report.project, folder)}
    if folder_digest(found) == out.digest:
        return
    if out.digest not in intact:
        what = "differs from dvc.lock; the cache does not have the list of its files"
        report.add_fault(folder, what, _restore(out, out.path, is_cached=False))
        return
    recorded = Cache.of(report.project).members(out.digest)
    for name, what in differences(recorded, found).items():
        path = f"{out.path}/{name}"
        if name in recorded:
            remedy = _restore(out, path, recorded[name] in intact)
            report.add_fault(folder / name, what.replace("was altered", "differs from dvc.lock"), remedy)
        else:
            report.add_fault(folder / name, what, removal(path))


def _restore(out: Out, path: str, is_cached: bool) -> str:
    """The commands that bring a file back. They remove it first: DVC keeps a file with the recorded size and time."""
    return f"{removal(path)}; {f'dvc checkout {shlex.quote(out.path)}' if is_cached else 'dvc repro'}"
