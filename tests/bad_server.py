"""A local https server that answers badly, and a local http server that must receive no request."""

from __future__ import annotations

import gzip
import http.server
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


@dataclass
class Servers:
    """The addresses of both servers, the requests they have received, and the https server's answer for each path."""

    https: str = ""
    http: str = ""
    requests: list[str] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)


def sends(data: bytes, **headers: str) -> Answer:
    """Answer 200 and `data`."""

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(data)

    return answer


def drips(seconds: float, count: int) -> Answer:
    """Answer 200, then send one byte every `seconds`, `count` in all."""

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        sends(b"")(request)
        for _ in range(count):
            request.wfile.write(b"x")
            time.sleep(seconds)

    return answer


def redirects(target: str) -> Answer:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("Location", target)
        request.end_headers()

    return answer


@contextmanager
def bad_servers(folder: Path) -> Iterator[Servers]:
    """Run both servers. Writes the https server's certificate to `folder`/certificate.pem."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    command += " -addext subjectAltName=DNS:localhost"
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    servers = Servers()
    with ExitStack() as stack:
        plain, secure = (stack.enter_context(_running(servers, tls)) for tls in (None, context))
        servers.http, servers.https = f"http://localhost:{plain}", f"https://localhost:{secure}"
        yield servers


@contextmanager
def _running(servers: Servers, tls: ssl.SSLContext | None) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            servers.requests.append(f"{'http' if tls is None else 'https'} {self.path}")
            with suppress(OSError):  # the client has closed the connection
                servers.answers.get(self.path, sends(gzip.compress(b"pixels")))(self)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
