"""MLflow's private functions that piecewise_guard uses still do what it expects."""

from __future__ import annotations

import inspect
import json

import flask
import pytest
from mlflow.protos.service_pb2 import CreateExperiment
from mlflow.server import handlers


@pytest.mark.parametrize(
    "body",
    [
        {"artifact_location": "file:///etc"},
        {"artifactLocation": "file:///etc"},
        json.dumps({"artifactLocation": "file:///etc"}),
    ],
)
def test_a_request_is_read_in_every_spelling_that_mlflow_accepts(body: object) -> None:
    with flask.Flask("guard").test_request_context("/", method="POST", json=body):
        message = handlers._get_request_message(CreateExperiment())  # type: ignore[no-untyped-call]
    assert message.artifact_location == "file:///etc"


def test_the_client_recognises_the_message_of_an_unsupported_multipart_upload() -> None:
    from mlflow.exceptions import _UnsupportedMultipartUploadException
    from mlflow.store.artifact import http_artifact_repo

    assert "_UnsupportedMultipartUploadException.MESSAGE" in inspect.getsource(http_artifact_repo)
    assert _UnsupportedMultipartUploadException.MESSAGE
