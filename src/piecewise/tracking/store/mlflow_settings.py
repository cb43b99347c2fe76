"""Settings of MLflow: no telemetry, no unpickling, no output of its own."""

import logging
import os
import warnings

PRIVATE = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # piecewise retries itself: MLflow would repeat a creation whose reply was lost.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    # Seconds without a byte. A server with many runs may search for long; the end of a command waits less, on its own.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def quiet() -> None:
    """Apply the settings and import MLflow. Call this before using MLflow."""
    os.environ.update(PRIVATE)
    import mlflow  # noqa: F401

    for name in ("mlflow", "alembic"):  # after the import, which sets these loggers
        logging.getLogger(name).setLevel(logging.CRITICAL)  # every failure is also raised
    warnings.filterwarnings("ignore", module="torch.export")
