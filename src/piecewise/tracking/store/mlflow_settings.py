"""MLflow as it is used here: it says nothing to anybody, and unpickles nothing."""

from __future__ import annotations

import logging
import os
import warnings

# Neither telemetry nor unpickling, whatever MLflow's own defaults are, and nothing on our stdout.
PRIVATE = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # What may be said again, and when, is decided here: MLflow itself would repeat a creation whose reply was lost.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # seconds without a byte
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def quiet() -> None:
    """To be called before anything of MLflow's is used; importing it sets its loggers, so that comes first."""
    os.environ.update(PRIVATE)
    import mlflow  # noqa: F401

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what it cannot do, it also raises
    warnings.filterwarnings("ignore", module="torch.export")
