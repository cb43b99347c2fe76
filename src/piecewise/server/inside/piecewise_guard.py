"""Runs inside MLflow's server, before whatever it does: what it must refuse, and has no option for.

auth.ini names `authenticate` as the function that says who a request comes from.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any

from flask import Response, request
from mlflow.exceptions import _UnsupportedMultipartUploadException
from mlflow.protos.service_pb2 import CreateExperiment
from mlflow.server import handlers
from mlflow.server.auth import authenticate_request_basic_auth, make_basic_auth_response

ORIGINS = os.environ["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"].split(",")
# What runs programs on this machine, sends requests of somebody else's choosing from it, or hands out addresses of the
# store itself. piecewise needs none of it.
CLOSED = re.compile(
    r"^/gateway/|/(assistant|gateway|gateway-proxy|jobs|mcp-servers|presigned-\w+-url|create-promptlab-run|scorers?"
    r"|webhooks|get-trace-artifact|invoke)(/|$)"
)
DIRECT = re.compile(r"/mlflow-artifacts/(mpu|presigned)/")  # between a client and the store, past this server
TRACES = re.compile(r"/traces(/|$)")  # their tags can say where MLflow is to read from


def authenticate() -> Any:
    """Whom the request comes from, or the answer that refuses it."""
    # MLflow lets in every page of this machine, on whatever port; here only its own pages come in.
    if request.headers.get("Origin", ORIGINS[0]) not in ORIGINS:
        return Response("Cross-origin request blocked", 403)
    if not _is_readable():
        return make_basic_auth_response()
    known = authenticate_request_basic_auth()
    return known if isinstance(known, Response) else _refusal() or known


def _is_readable() -> bool:
    """Another scheme has no name, and PostgreSQL no text with a NUL: MLflow fails of both, and tells how."""
    told = request.authorization
    words = (None, None) if told is None else (told.username, told.password)
    return all(word is not None and "\0" not in word for word in words)


def _refusal() -> Response | None:
    if CLOSED.search(request.path) or _writes_traces():
        return Response("This server does not offer that", 403)
    if DIRECT.search(request.path):
        return _through_the_server()
    if request.path.endswith("/experiments/create") and _asked_location():
        return Response("artifact_location is chosen by the server", 403)
    return None


def _through_the_server() -> Response:
    """What makes MLflow's client come here for an upload or a download of any size: it would ask the store first."""
    answer = {"url": "", "file_size": None, "message": _UnsupportedMultipartUploadException.MESSAGE}
    return Response(json.dumps(answer), 200 if request.method == "GET" else 501, mimetype="application/json")


def _writes_traces() -> bool:
    is_question = request.method == "GET" or request.path.endswith("/search")
    return TRACES.search(request.path) is not None and not is_question


def _asked_location() -> str:
    """Read as MLflow will read it, however it is spelt. It would be opened with the server's own rights."""
    read: Any = handlers._get_request_message
    return str(read(CreateExperiment()).artifact_location)
