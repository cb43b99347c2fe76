"""The checks of `piecewise doctor`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from piecewise.errors import BadInput
from piecewise.health import machine, project, store
from piecewise.health.findings import Finding, fault, fine
from piecewise.project import Project


@dataclass(frozen=True)
class Check:
    """A check of a project. If `run` yields no finding, the check's finding is `ok_message`."""

    name: str
    ok_message: str
    run: Callable[[Project], Iterable[Finding]]

    def findings(self, project: Project) -> list[Finding]:
        """At least one finding. A check that raises an error is itself a fault."""
        found: list[Finding] = []
        try:
            found.extend(self.run(project))
        except BadInput as error:
            found.append(fault(str(error), "correct that file"))
        except Exception as error:
            what = f"this check failed: {type(error).__name__}: {' '.join(str(error).split())}"
            found.append(
                fault(what, "repair what the error names; if nothing is wrong there, this is a bug in piecewise")
            )
        return found or [fine(self.ok_message)]


CHECKS = (  # in the order of doctor's report
    Check("blocked releases", "no blocked release is installed", machine.blocked_releases),
    Check("lock", "the installed packages are those in requirements.lock", machine.lock_drift),
    Check("registry client", "npm is on PATH", machine.registry_client),
    Check("disk", "the project's disk has enough free space", machine.disk_space),
    Check("clock", "no file of the project is newer than the present time", machine.clock),
    Check("permissions", "the project's files can be written, and its runs are private", machine.permissions),
    Check("pipeline lock", "nothing stops dvc repro", project.pipeline_lock),
    Check("orphan runs", "every unfinished run has a running process", project.orphan_runs),
    Check("store", "mlflow.db is intact and has the installed MLflow's schema", store.schema),
    Check("artifact locations", "all artifact locations are in this project", store.artifact_locations),
)
