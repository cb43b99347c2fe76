"""Everything that `piecewise doctor` looks at."""

from __future__ import annotations

from piecewise.health import environment, machine, permissions, project, store
from piecewise.health.findings import Check

CHECKS = (
    Check("blocked releases", "none is installed", environment.blocked_releases),
    Check("lock", "what is installed is what requirements.lock pins", environment.lock_drift),
    Check("registry client", "npm is on PATH", environment.registry_client),
    Check("disk", "there is room where the project lies", machine.disk_space),
    Check("clock", "it is later than everything written here", machine.clock),
    Check("permissions", "everything can be written, and runs are private", permissions.permissions),
    Check("pipeline lock", "nothing stops dvc repro", project.pipeline_lock),
    Check("orphan runs", "every run has an end, or somebody who trains it", project.orphan_runs),
    Check("store", "mlflow.db is sound and has the schema that MLflow wants", store.schema),
    Check("artifact locations", "all are in this project", store.artifact_locations),
)
