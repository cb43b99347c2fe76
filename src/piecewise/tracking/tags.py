"""The tags by which piecewise knows its own runs in an MLflow store."""

RUN_ID = "piecewise.run_id"  # our id of the run
HEARTBEAT = "piecewise.heartbeat"  # seconds since 1970 when the run was last known to train
PROCESS = "piecewise.process"  # the process that trains it, as JSON: host, boot, pid, start time
MIRRORED = "piecewise.mirrored"  # fingerprint of everything that was sent
