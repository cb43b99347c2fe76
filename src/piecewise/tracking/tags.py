"""The tags that piecewise gives its runs in an MLflow store."""

RUN_ID = "piecewise.run_id"  # the run's id in its journal
HEARTBEAT = "piecewise.heartbeat"  # when the run was last known to train, in seconds since 1970
PROCESS = "piecewise.process"  # the process that trains it, as JSON: host, boot, pid, start time
MIRRORED = "piecewise.mirrored"  # digest of everything that was sent
