"""The checks of `piecewise doctor`, in the order of its report."""

from __future__ import annotations

from piecewise.health import environment, machine, project, store
from piecewise.health.findings import Check

CHECKS = (
    Check("blocked releases", "no blocked release is installed", environment.blocked_releases),
    Check("lock", "the installed packages are those in requirements.lock", environment.lock_drift),
    Check("registry client", "npm is on PATH", environment.registry_client),
    Check("disk", "the project's disk has enough free space", machine.disk_space),
    Check("clock", "no file of the project is newer than the present time", machine.clock),
    Check("permissions", "the project's files can be written, and its runs are private", machine.permissions),
    Check("pipeline lock", "nothing stops dvc repro", project.pipeline_lock),
    Check("orphan runs", "every unfinished run has a running process", project.orphan_runs),
    Check("store", "mlflow.db is intact and has the installed MLflow's schema", store.schema),
    Check("artifact locations", "all artifact locations are in this project", store.artifact_locations),
)
