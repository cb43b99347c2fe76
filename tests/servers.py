"""A real MLflow server, and a proxy in front of it that behaves like a bad network or a broken server."""

from __future__ import annotations

import http.client
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
BODY = 4096  # the announced bytes of a response that never completes


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class RealServer:
    """An MLflow server with its own store in `place`. The store outlives the server's processes."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.port = free_port()
        self.address = f"http://{HOST}:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        place.mkdir(exist_ok=True)

    def start(self) -> None:
        """Start the server unless it runs, and wait until it answers."""
        if self._process is not None:
            return
        store = ["--backend-store-uri", "sqlite:///server.db", "--artifacts-destination", "artifacts"]
        command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(self.port), "--workers", "1"]
        log = (self.place / "log").open("ab")
        self._process = subprocess.Popen(
            [*command, *store], cwd=self.place, stdout=log, stderr=log, start_new_session=True
        )
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{self.address}/health", timeout=5).close()
                return
            except OSError:
                assert self._process.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server did not answer"
                time.sleep(0.2)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, number)
            self._process.wait(60)
            self._process = None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.count += 1
        self.server.behaviour(self, body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = answer

    def log_message(self, *arguments: Any) -> None:
        pass

    def say(self, status: int, body: bytes = b"", kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def forward(self, body: bytes) -> tuple[int, bytes, str]:
        backend = http.client.HTTPConnection(HOST, self.server.backend, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        backend.request(self.command, self.path, body, headers | {"Host": f"{HOST}:{self.server.backend}"})
        reply = backend.getresponse()
        content = reply.read()
        backend.close()
        return reply.status, content, reply.getheader("Content-Type") or "application/json"

    def hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


Behaviour = Callable[[Handler, bytes], None]


class Proxy(ThreadingHTTPServer):
    """Handles each request as `behaviour` says, which a test may change at any time."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, backend: int) -> None:
        super().__init__((HOST, 0), Handler)
        self.backend = backend
        self.behaviour: Behaviour = passes
        self.count = 0  # requests so far
        self.address = f"http://{HOST}:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients disconnect on purpose


def passes(handler: Handler, body: bytes) -> None:
    status, content, kind = handler.forward(body)
    handler.say(status, content, kind)


def refuses(handler: Handler, body: bytes) -> None:
    handler.hang_up()


def resets(handler: Handler, body: bytes) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    handler.close_connection = True
    handler.connection.close()


def stalls(handler: Handler, body: bytes) -> None:
    time.sleep(60)


def drips(handler: Handler, body: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(BODY))
    handler.end_headers()
    for _ in range(60):
        handler.wfile.write(b" ")
        time.sleep(1)


def truncates(handler: Handler, body: bytes) -> None:
    handler.say(200, b'{"experiments": [{"experiment_id": "1", "na')


def redirects(handler: Handler, body: bytes) -> None:
    handler.say(302, Location=handler.path)


def says(status: int, body: bytes = b"", kind: str = "application/json", **headers: str) -> Behaviour:
    return lambda handler, _: handler.say(status, body, kind, **headers)


BEHAVIOURS: dict[str, Behaviour] = {
    "refuses": refuses,
    "resets": resets,
    "stalls": stalls,
    "one byte a second": drips,
    "500": says(500, b"<h1>oh</h1>", "text/html"),
    "503": says(503, b"later", "text/plain", Retry_After="120"),
    "401": says(401, b"who are you?", "text/plain"),
    "403": says(403, b"no", "text/plain"),
    "404": says(404, b"<h1>what?</h1>", "text/html"),
    "HTML": says(200, b"<html><body>Welcome to the hotel's network</body></html>", "text/html"),
    "half of its JSON": truncates,
    "redirects for ever": redirects,
}


def _drops_reply_if(is_lost: Callable[[], bool]) -> Behaviour:
    """Forward the request, but drop the reply if `is_lost`."""

    def behave(handler: Handler, body: bytes) -> None:
        lost = is_lost()
        status, content, kind = handler.forward(body)
        if lost:
            handler.hang_up()
        else:
            handler.say(status, content, kind)

    return behave


def drops_reply(number: int) -> Behaviour:
    """Drop one reply: to the request with this number, counted from 1."""
    numbers = itertools.count(1)
    return _drops_reply_if(lambda: next(numbers) == number)


def drops_replies(rng: random.Random, share: float) -> Behaviour:
    """Drop this share of replies, chosen at random."""
    return _drops_reply_if(lambda: rng.random() < share)


def delays(seconds: float) -> Behaviour:
    def behave(handler: Handler, body: bytes) -> None:
        time.sleep(seconds)
        passes(handler, body)

    return behave


def cuts(every: int) -> Behaviour:
    """Cut every response whose number is a multiple of `every` after half of its bytes."""
    seen = [0]

    def behave(handler: Handler, body: bytes) -> None:
        seen[0] += 1
        is_cut = seen[0] % every == 0
        status, content, kind = handler.forward(body)
        if not is_cut:
            handler.say(status, content, kind)
            return
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2])
        handler.hang_up()

    return behave
