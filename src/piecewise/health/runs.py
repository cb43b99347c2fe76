"""Check finished runs against their manifests, and journals against the checksum of each line."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from piecewise.durable import is_torn
from piecewise.execution.ledger import DONE, LEDGER, Record
from piecewise.health.findings import HashReport, removal
from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder
from piecewise.manifest import MANIFEST, manifest_faults
from piecewise.project import Project


def check_runs(project: Project) -> HashReport:
    """Check all runs of `piecewise train`."""
    report = HashReport("runs", project)
    for folder in _run_folders(project):
        for name, what in _check(report, folder):
            report.add_fault(folder / name, what, _remedy(report.name(folder), name, what))
        for gone in _missing_runs(project, folder):
            report.add_fault(gone, "is missing", f"piecewise resume {folder.name} trains it again")
    return report


def _missing_runs(project: Project, folder: Path) -> Iterator[Path]:
    """The folders of finished runs that a sweep's ledger lists and that are gone; DVC brings back the pipeline's."""
    try:
        entries = Record.read(folder / LEDGER).entries
    except (OSError, ValueError):  # no sweep, or damage that its manifest shows
        return
    for entry in entries:
        own = RunFolder.at(folder / f"{entry.planned.number:04d}")
        run = own if entry.reused is None else RunFolder.from_text(entry.reused)
        if entry.state in DONE and not run.is_of_pipeline and not (project.root / run.sealed).is_dir():
            yield project.root / run.sealed


def check_checkpoints(project: Project) -> HashReport:
    """Check the checkpoints of the pipeline's runs. They are no outputs of a stage, so DVC has no digests of them."""
    report = HashReport("checkpoints", project)
    for folder in sorted(project.live_stages.glob("*/*/")):
        if not (folder / MANIFEST).is_file() and not any(folder.glob("*.ckpt")):
            continue  # the record of a sweep
        for name, what in _check(report, folder):
            remedy = f"{removal(report.name(folder))}: a finished run no longer needs its checkpoints"
            report.add_fault(folder / name, what, remedy)
    return report


def _check(report: HashReport, folder: Path) -> Iterator[tuple[str, str]]:
    """The name and the fault of each file that differs from the manifest; an unfinished run gets a note."""
    if not (folder / MANIFEST).is_file():
        report.notes.append(f"{report.name(folder)}: not verified: unfinished, without a manifest")
        return
    report.digest(folder / MANIFEST)
    yield from manifest_faults(folder, report.digest).items()


def _run_folders(project: Project) -> Iterator[Path]:
    """Single runs, and sweeps followed by their jobs, whose folders are numbers."""
    for folder in sorted(project.runs.glob("*/")):
        if folder != project.live_stages and not folder.name.startswith("."):  # a store set aside is no run
            yield folder
            yield from (child for child in sorted(folder.glob("*/")) if child.name.isdigit())


def _remedy(folder: str, name: str, what: str) -> str:
    run, part = folder.removeprefix("runs/"), name.partition("/")[0]
    if what == "was not there":
        return f"{removal(f'{folder}/{name}')}, if you do not need it"
    if name == "results.csv":  # of a sweep
        return f"the same piecewise train command, or piecewise resume {run}, writes it again"
    if part in ("evaluation", "figures"):
        return f"{removal(f'{folder}/evaluation')}; piecewise evaluate {run}"
    if part == "checkpoints":
        return "piecewise clean --yes: a finished run no longer needs its checkpoints"
    return "restore it from a copy, or train the run again"


def check_journals(project: Project) -> HashReport:
    """Check the checksum of every line of every journal, including journals of unfinished runs."""
    report = HashReport("journals", project)
    for path in sorted([*project.results.glob("journal/*/*.jsonl"), *project.runs.glob("**/journal.jsonl")]):
        report.digest(path)
        try:
            record = read_journal(path)
        except (OSError, ValueError) as error:
            what = str(error).removeprefix(str(path)).strip(", ")
            report.add_fault(path, what, _journal_remedy(report.name(path)))
            continue
        if is_torn(path) and record is not None and record.end is not None:
            report.add_fault(path, "has data after its end record", _journal_remedy(report.name(path)))
        elif is_torn(path):
            report.notes.append(f"{report.name(path)}: the last line is incomplete; the run did not finish")
    return report


def _journal_remedy(name: str) -> str:
    if name.startswith("results/"):
        return f"{removal(name)}; dvc checkout {shlex.quote(Path(name).parent.as_posix())}"
    return "restore it from a copy, or train the run again"
