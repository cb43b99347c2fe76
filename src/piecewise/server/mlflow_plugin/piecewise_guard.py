"""Refuses requests that MLflow's server would accept and has no option against. It runs inside that server.

auth.ini names `authenticate` as the function that tells MLflow who sends a request. MLflow's private parts that this
server needs are here: `_get_request_message` and `_UnsupportedMultipartUploadException`.
"""

import json
import os
import re
from typing import Any

from flask import Response, request
from mlflow.exceptions import _UnsupportedMultipartUploadException
from mlflow.protos.service_pb2 import CreateExperiment
from mlflow.server import handlers
from mlflow.server.auth import authenticate_request_basic_auth, make_basic_auth_response

ALLOWED_ORIGINS = os.environ["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"].split(",")
# Routes that run programs, send requests to addresses of a client's choice, or give out addresses of the store.
# piecewise needs none of them.
CLOSED_ROUTES = re.compile(
    r"^/gateway/|/(assistant|gateway|gateway-proxy|jobs|mcp-servers|presigned-\w+-url|create-promptlab-run|scorers?"
    r"|webhooks|get-trace-artifact|invoke)(/|$)"
)
DIRECT_TRANSFER_ROUTES = re.compile(r"/mlflow-artifacts/(mpu|presigned)/")  # client and store, without this server
TRACE_ROUTES = re.compile(r"/traces(/|$)")  # a trace's tags can name a place that MLflow then reads


def authenticate() -> Any:
    """Who sends the request, or the response that refuses it."""
    # MLflow itself allows pages of any port of this machine.
    if request.headers.get("Origin", ALLOWED_ORIGINS[0]) not in ALLOWED_ORIGINS:
        return Response("Cross-origin request blocked", 403)
    if not _has_readable_login():
        return make_basic_auth_response()
    sender = authenticate_request_basic_auth()
    return sender if isinstance(sender, Response) else _refusal() or sender


def _has_readable_login() -> bool:
    """Whether there is a name and a password without NUL. Otherwise MLflow or PostgreSQL fails and shows its error."""
    login = request.authorization
    words = (None, None) if login is None else (login.username, login.password)
    return all(word is not None and "\0" not in word for word in words)


def _refusal() -> Response | None:
    if CLOSED_ROUTES.search(request.path) or _writes_traces():
        return Response("This server does not offer that", 403)
    if DIRECT_TRANSFER_ROUTES.search(request.path):
        return _no_direct_transfer()
    if request.path.endswith("/experiments/create") and _requested_location():
        return Response("artifact_location is chosen by the server", 403)
    return None


def _no_direct_transfer() -> Response:
    """The response after which MLflow's client sends or fetches the file through this server, whatever its size."""
    content = {"url": "", "file_size": None, "message": _UnsupportedMultipartUploadException.MESSAGE}
    return Response(json.dumps(content), 200 if request.method == "GET" else 501, mimetype="application/json")


def _writes_traces() -> bool:
    is_query = request.method == "GET" or request.path.endswith("/search")
    return TRACE_ROUTES.search(request.path) is not None and not is_query


def _requested_location() -> str:
    """The artifact location that the client asks for, read as MLflow reads it. The server itself would open it."""
    read_message: Any = handlers._get_request_message
    return str(read_message(CreateExperiment()).artifact_location)
