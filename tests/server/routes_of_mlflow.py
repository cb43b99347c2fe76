"""Print method and path of every route of MLflow's server, as JSON lines. Runs in the server's environment."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


def fastapi_routes(routes: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Method and path of FastAPI's routes, including those of its routers."""
    for route in routes:
        if hasattr(route, "effective_candidates"):
            yield from fastapi_routes(route.effective_candidates())
        else:
            yield from ((method, route.path) for method in getattr(route, "methods", None) or ())


with tempfile.TemporaryDirectory() as place:
    config = Path(place, "auth.ini")
    config.write_text(f"[mlflow]\ndefault_permission = NO_PERMISSIONS\ndatabase_uri = sqlite:///{place}/auth.db\n")
    os.environ.update(
        MLFLOW_AUTH_CONFIG_PATH=str(config),
        MLFLOW_AUTH_ADMIN_USERNAME="admin",
        MLFLOW_AUTH_ADMIN_PASSWORD="only for this list",
        MLFLOW_FLASK_SERVER_SECRET_KEY="only for this list",
        _MLFLOW_SERVER_FILE_STORE=f"sqlite:///{place}/runs.db",
        _MLFLOW_SGI_NAME="uvicorn",
    )
    from mlflow.server import app as flask_app
    from mlflow.server.auth import create_app

    served = create_app()
    rules = [(method, rule.rule) for rule in flask_app.url_map.iter_rules() for method in rule.methods]
    for method, path in sorted({*rules, *fastapi_routes(served.routes)}):
        if method not in ("HEAD", "OPTIONS"):
            print(json.dumps([method, path]))
