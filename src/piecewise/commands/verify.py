"""Hash all recorded files again, and list those that differ from their digests.

Covered: DVC's cache, the data and outputs in dvc.lock, finished runs of `piecewise train` with their checkpoints,
MLflow's artifacts in the embedded store, and journals. A single changed bit is found. An output that was changed on
purpose looks like a damaged one.

Not hashed: mlflow.db, which changes with every run and can be made again from the journals. SQLite checks its
integrity. In DVC's run cache, sizes are not covered, because no digest depends on them.

A run that a sweep's ledger calls finished and whose folder is gone is a fault, too.

The exit code is 1 if there is a fault. A run that has not ended is a note, not a fault.
"""

from piecewise import terminal
from piecewise.commands.arguments import Arguments
from piecewise.health.findings import HashReport
from piecewise.project import Project


def main(project: Project, arguments: Arguments) -> int:
    arguments.read()
    from piecewise.health.verify import verify

    num_faults = 0
    for report in verify(project):
        print(_summary(report))
        for path, fault in report.faults.items():
            print(f"  {path} {fault.what}\n    {terminal.paint(fault.remedy, 'cyan')}")
        for note in report.notes:
            print(f"  {terminal.paint('note:', 'dim')} {note}")
        num_faults += len(report.faults)
    return 1 if num_faults else 0


def _summary(report: HashReport) -> str:
    num_faults = len(report.faults)
    verdict = terminal.paint("ok", "green")
    if num_faults:
        verdict = terminal.paint(f"{num_faults} fault{'s' if num_faults > 1 else ''}", "red")
    hashed = f"{len(report.files):6} files  {terminal.size(report.num_bytes):>8}"
    return f"{report.kind:12}  {hashed if report.files else 'nothing hashed':>22}  {verdict}"
