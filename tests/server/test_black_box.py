"""Requests of strangers, foreign pages and guests that the running server refuses. Each request is counted."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from running_server import API, ARTIFACTS, Answer, Server
from trials import Trials

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
AJAX = API.replace("/api/", "/ajax-api/")
NOBODY = ("", "")
GUEST = ("guest", "a long password of a guest")
REFUSED = (400, 401, 403, 404, 405)
# Open without login, because they reveal nothing: health, version, the pages' static files.
PUBLIC = re.compile(r"^/health$|^/static-files/|^/(ajax-)?api/[0-9.]+/mlflow/server-info$")


class Refusals:
    """Counts refused requests of one kind. The test makes them all, then fails if one was not refused."""

    def __init__(self, trials: Trials, kind: str) -> None:
        self.trials, self.kind = trials, f"refused: {kind}"
        self.not_refused: list[str] = []
        self.count = 0

    def expect(self, what: str, answer: Answer, allowed: tuple[int, ...] = REFUSED) -> None:
        self.add(what, answer.status in allowed, f"{answer.status} {answer.body[:200]!r}")

    def add(self, what: str, is_refused: bool, why: str = "") -> None:
        self.count += 1
        self.trials.note(self.kind, kept=int(is_refused), tried=1)
        if not is_refused:
            self.not_refused.append(f"{what}: {why}")


@pytest.fixture
def refusals(trials: Trials, request: pytest.FixtureRequest) -> Iterator[Refusals]:
    refusals = Refusals(trials, request.function.__doc__.splitlines()[0])
    yield refusals
    print(f"{refusals.count - len(refusals.not_refused)} of {refusals.count} refused: {request.function.__doc__}")
    assert refusals.not_refused == [], "\n".join(refusals.not_refused)
    assert refusals.count > 0


@pytest.fixture(scope="module")
def owned(server: Server) -> dict[str, Any]:
    """The admin's experiment, run with an artifact, and registered model. The guest user exists too."""
    name = f"private.{time.time_ns()}"
    experiment = server.create("experiments", name=name)["experiment_id"]
    run = server.create("runs", experiment_id=experiment)["run"]["info"]["run_id"]
    assert server.ask("PUT", f"{ARTIFACTS}/{experiment}/{run}/artifacts/a.txt", b"private words").status == 200
    server.create("registered-models", name=name)
    server.create("model-versions", name=name, source=f"runs:/{run}/model", run_id=run)
    assert (
        server.ask("POST", f"{API}/users/create", dict(zip(("username", "password"), GUEST, strict=True))).status == 200
    )
    return {"experiment": experiment, "run": run, "name": name}


@pytest.fixture(scope="module")
def routes(programs: Path) -> list[tuple[str, str]]:
    """Every route of MLflow's server, as MLflow lists them."""
    script = Path(__file__).parent / "routes_of_mlflow.py"
    done = subprocess.run([programs / "python", script], capture_output=True, text=True, check=True)
    return [tuple(json.loads(line)) for line in done.stdout.splitlines() if line.startswith("[")]


def filled(path: str) -> str:
    """A route's path with 1 for each parameter."""
    return re.sub(r"<[^>]+>|\{[^}]+\}", "1", path)


def test_every_route_requires_a_login(server: Server, routes: list[tuple[str, str]], refusals: Refusals) -> None:
    """every route without a name and password"""
    protected = [(method, path) for method, path in routes if not PUBLIC.search(path)]
    assert len(protected) > 500
    families = {"/api/2.0/mlflow/runs/create", "/graphql", "/", "/signup", "/v1/traces", "/ajax-api/3.0/jobs/search"}
    families |= {"/ajax-api/3.0/mlflow/assistant/config", "/gateway/openai/v1/responses", "/api/3.0/mlflow/mcp-servers"}
    assert families <= {path for _, path in protected}
    for method, path in protected:
        body = None if method == "GET" else {}
        refusals.expect(f"{method} {path}", server.ask(method, filled(path), body, NOBODY), (401,))


def test_public_routes_reveal_no_secret(server: Server, routes: list[tuple[str, str]]) -> None:
    """Exactly the expected routes are public."""
    public = sorted({path for _, path in routes if PUBLIC.search(path)})
    assert [path.rpartition("/")[2] for path in public] == ["server-info", "server-info", "health", "<path:path>"]
    for path in public:
        answer = server.ask("GET", filled(path), login=NOBODY)
        assert answer.status in (200, 404)
        assert not [secret for secret in server.secrets.values() if secret.encode() in answer.body]


def test_wrong_logins_are_refused(server: Server, owned: dict[str, Any], refusals: Refusals) -> None:
    """a wrong name or password"""
    password = server.secrets["password"]
    wrong = ["", "admin", "password1234", password[:-1], password + "0", password.upper(), password[::-1], "x" * 5000]
    pairs = [*(("admin", word) for word in wrong), ("Admin", password), ("root", password), ("guest", password)]
    for pair in [*pairs, ("admin' OR '1'='1", password), ("admin", "' OR '1'='1"), ("admin\0", password)]:
        for path in (f"{API}/experiments/search?max_results=1", f"{ARTIFACTS}/{owned['experiment']}/x", "/"):
            refusals.expect(f"{pair} {path}", server.ask("GET", path, login=pair), (401,))
    for header in ("Bearer x", "Basic", "Basic !!!", f"basic {password}", "Digest username=admin"):
        answer = server.ask("GET", f"{API}/experiments/search?max_results=1", login=NOBODY, Authorization=header)
        refusals.expect(header, answer, (401,))
    assert refusals.not_refused == []


def test_foreign_hosts_are_refused(server: Server, refusals: Refusals) -> None:
    """a foreign Host"""
    port = server.uri.rpartition(":")[2]
    hosts = ["evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}", f"10.evil.example:{port}"]
    hosts += ["127.0.0.1", "localhost", "127.0.0.1:1", f"localhost.:{port}", f"0.0.0.0:{port}", f"[::1]:{port}", ""]
    for host in [*hosts, f"10.0.0.1:{port}", f"192.168.0.1:{port}", f"127.0.0.2:{port}"]:
        for path in (f"{API}/experiments/search?max_results=1", "/"):
            refusals.expect(f"{host} {path}", server.ask("GET", path, Host=host), (400, 403))
    assert refusals.not_refused == []


def test_foreign_origins_are_refused(server: Server, owned: dict[str, Any], refusals: Refusals) -> None:
    """a foreign Origin"""
    port = server.uri.rpartition(":")[2]
    origins = ["http://evil.example", "null", f"https://127.0.0.1:{port}", "http://localhost", "http://localhost:8888"]
    origins += ["http://127.0.0.1", "http://127.0.0.1:8888", f"http://127.0.0.1:{port}.evil.example", "file://"]
    asked = [
        ("POST", f"{API}/experiments/create", {"name": "from a foreign page"}),
        ("POST", f"{AJAX}/experiments/create", {"name": "from a foreign page"}),
        ("POST", f"{API}/runs/delete", {"run_id": owned["run"]}),
        ("PUT", f"{ARTIFACTS}/{owned['experiment']}/{owned['run']}/artifacts/foreign", b"x"),
        ("PATCH", f"{API}/users/update-admin", {"username": "guest", "is_admin": True}),
        ("GET", f"{API}/experiments/search?max_results=1", None),
    ]
    for origin in origins:
        for method, path, body in asked:
            refusals.expect(f"{origin} {method} {path}", server.ask(method, path, body, Origin=origin), (403,))
    own_page = server.ask("GET", f"{API}/experiments/search?max_results=1", Origin=server.uri)
    assert own_page.status == 200


def test_no_path_leads_out_of_the_artifacts(server: Server, owned: dict[str, Any], refusals: Refusals) -> None:
    """a path that leads out of the artifacts"""
    up = ["../", "..%2f", "%2e%2e/", "%2e%2e%2f", "%252e%252e%252f", "..%5c", "%2e%2e%5c", "..%c0%af", "..//", ".../"]
    paths = [prefix * 8 + "etc/passwd" for prefix in up]
    paths += ["/etc/passwd", "%2fetc%2fpasswd", "//etc/passwd", "file:///etc/passwd", "file:%2f%2f%2fetc%2fpasswd"]
    paths += ["a/../../../etc/passwd", "a%2f..%2f..%2fetc%2fpasswd", "..", "%2e%2e", "C:%5cwindows", "%00/etc/passwd"]
    for path in paths:
        where = f"{owned['experiment']}/{owned['run']}/artifacts/{path}"
        found = server.ask("GET", f"{ARTIFACTS}/{where}")
        refusals.add(f"GET {where}", found.status != 200 and b"root:" not in found.body, f"{found}")
        listed = server.ask("GET", f"{API}/artifacts/list?run_id={owned['run']}&path={quote(path)}")
        refusals.add(f"list {path}", b"passwd" not in _files(listed), f"{listed}")
        got = server.ask("GET", f"/get-artifact?run_uuid={owned['run']}&path={quote(path)}")
        refusals.add(f"get {path}", got.status != 200 and b"root:" not in got.body, f"{got}")
        put = server.ask("PUT", f"{ARTIFACTS}/{owned['experiment']}/{quote('../' * 9)}tmp/escaped.{os.getpid()}", b"x")
        refusals.expect(f"PUT {path}", put)
    assert not Path(f"/tmp/escaped.{os.getpid()}").exists()


def _files(answer: Answer) -> bytes:
    return json.dumps(answer.json.get("files", [])).encode() if answer.status == 200 else b""


def test_clients_cannot_choose_artifact_locations(server: Server, owned: dict[str, Any], refusals: Refusals) -> None:
    """an artifact location that the client chooses"""
    proxied = f"mlflow-artifacts:/{owned['experiment']}"
    places = ["file:///etc", "/etc", "etc", "s3://elsewhere", "s3://mlflow/1", proxied]
    places += ["http://127.0.0.1:1/x", "ftp://evil.example", "dbfs:/x", "runs:/x", "hdfs://x/y", "gs://x", "wasbs://x"]
    for number, place in enumerate(places):
        name = f"elsewhere.{number}"
        bodies = [json.dumps({"name": name, key: place}) for key in ("artifact_location", "artifactLocation")]
        bodies += [
            json.dumps(bodies[0]),
            json.dumps({"name": name, "x": place}).replace('"x"', r'"\u0061rtifact_location"'),
        ]
        for prefix in (API, AJAX):
            for body in bodies:
                answer = server.ask("POST", f"{prefix}/experiments/create", body.encode())
                refusals.expect(f"{prefix} {body}", answer, (400, 403))
        fields = {"name": owned["name"], "source": place}
        refusals.expect(f"version {place}", server.ask("POST", f"{API}/model-versions/create", fields), (400, 403))
    names = server.ask("GET", f"{API}/experiments/search?max_results=1000").json["experiments"]
    assert not [found["name"] for found in names if found["name"].startswith("elsewhere")]


def test_artifact_locations_in_tags_are_refused(server: Server, owned: dict[str, Any], refusals: Refusals) -> None:
    """an artifact location in the tags of a trace"""
    for prefix in ("/api", "/ajax-api"):
        for key in ("mlflow.artifactLocation", "mlflow.trace.archiveLocation", "mlflow.trace.spansLocation"):
            place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": owned["experiment"]}}
            trace = {"trace_id": "tr-" + "a" * 32, "trace_location": place, "request_time": "2026-01-01T00:00:00Z"}
            info = {"trace": {"trace_info": {**trace, "state": "OK", "tags": {key: "file:///etc"}}}}
            refusals.expect(f"{prefix} {key}", server.ask("POST", f"{prefix}/3.0/mlflow/traces", info), (403,))
            for version in ("2.0", "3.0"):
                path = f"{prefix}/{version}/mlflow/traces/tr-{'a' * 32}/tags"
                tag = {"key": key, "value": "file:///etc"}
                refusals.expect(f"{path} {key}", server.ask("PATCH", path, tag), (403,))
    assert refusals.not_refused == []


def test_side_effect_routes_are_refused(server: Server, routes: list[tuple[str, str]], refusals: Refusals) -> None:
    """a route that runs something, sends something or hands out addresses of the store, even from the admin"""
    words = r"/assistant|/gateway|/jobs|/webhooks|/mpu/|/presigned|promptlab|/scorers?/|/mcp-servers|/invoke"
    asked = [(method, path) for method, path in routes if re.search(words, path)]
    assert len(asked) > 100
    for method, path in asked:
        answer = server.ask(method, filled(path), None if method == "GET" else {})
        if re.search(r"/(mpu|presigned)/", path):
            refusals.add(f"{method} {path}", answer.json["url"] == "" and answer.status in (200, 501), str(answer))
        else:
            refusals.expect(f"{method} {path}", answer, (403,))


def admin_requests(owned: dict[str, Any]) -> list[tuple[str, str, Any]]:
    """Method, path and body of requests that need the admin, or a permission that only the admin gives."""
    experiment, run, name = owned["experiment"], owned["run"], owned["name"]
    batch = {"run_id": run, "metrics": [{"key": "x", "value": 1, "timestamp": 1, "step": 1}]}
    return [
        ("GET", f"/experiments/get?experiment_id={experiment}", None),
        ("GET", f"/experiments/get-by-name?experiment_name={name}", None),
        ("POST", "/experiments/update", {"experiment_id": experiment, "new_name": "mine"}),
        ("POST", "/experiments/delete", {"experiment_id": experiment}),
        ("POST", "/experiments/set-experiment-tag", {"experiment_id": experiment, "key": "a", "value": "b"}),
        ("POST", "/runs/create", {"experiment_id": experiment}),
        ("GET", f"/runs/get?run_id={run}", None),
        ("POST", "/runs/update", {"run_id": run, "status": "FAILED"}),
        ("POST", "/runs/delete", {"run_id": run}),
        ("POST", "/runs/log-metric", {"run_id": run, "key": "x", "value": 1, "timestamp": 1}),
        ("POST", "/runs/log-parameter", {"run_id": run, "key": "x", "value": "1"}),
        ("POST", "/runs/set-tag", {"run_id": run, "key": "x", "value": "1"}),
        ("POST", "/runs/log-batch", batch),
        ("GET", f"/metrics/get-history?run_id={run}&metric_key=x", None),
        ("GET", f"/artifacts/list?run_id={run}", None),
        ("GET", f"/registered-models/get?name={name}", None),
        ("PATCH", "/registered-models/update", {"name": name, "description": "mine"}),
        ("DELETE", "/registered-models/delete", {"name": name}),
        ("POST", "/registered-models/rename", {"name": name, "new_name": "mine"}),
        ("GET", f"/model-versions/get?name={name}&version=1", None),
        ("GET", f"/model-versions/get-download-uri?name={name}&version=1", None),
        ("DELETE", "/model-versions/delete", {"name": name, "version": "1"}),
        ("POST", "/model-versions/create", {"name": name, "source": f"runs:/{run}/model", "run_id": run}),
        ("POST", "/users/create", {"username": "another", "password": "a long password"}),
        ("PATCH", "/users/update-admin", {"username": "guest", "is_admin": True}),
        ("PATCH", "/users/update-password", {"username": "admin", "password": "a long password"}),
        ("DELETE", "/users/delete", {"username": "admin"}),
        ("GET", "/users/get?username=admin", None),
    ]


def test_a_guest_cannot_use_the_data_of_others(server: Server, owned: dict[str, Any], refusals: Refusals) -> None:
    """reading or writing another user's data as a guest"""
    experiment, run, name = owned["experiment"], owned["run"], owned["name"]
    artifact = f"{experiment}/{run}/artifacts/a.txt"
    for prefix in (API, AJAX):
        for method, path, body in admin_requests(owned):
            refusals.expect(f"{method} {prefix}{path}", server.ask(method, prefix + path, body, GUEST), (403, 404))
        files = prefix.replace("/mlflow", "/mlflow-artifacts/artifacts")
        for method in ("GET", "PUT", "DELETE"):
            body_of = b"mine" if method == "PUT" else None
            refusals.expect(f"{method} {files}", server.ask(method, f"{files}/{artifact}", body_of, GUEST), (403,))
        for path in (
            artifact,
            f"x/%2e%2e/{artifact}",
            f"%2e/{artifact}",
            f"/{artifact}",
            artifact.replace("/", "%2f", 1),
        ):
            answer = server.ask("GET", f"{files}/{path}", login=GUEST)
            refusals.add(f"GET {files}/{path}", b"private words" not in answer.body, str(answer))
    got = server.ask("GET", f"/get-artifact?run_uuid={run}&path=a.txt", login=GUEST)
    refusals.expect("get-artifact", got, (403,))
    for path, body in (("experiments/search", {"max_results": 99}), ("runs/search", {"experiment_ids": [experiment]})):
        answer = server.ask("POST", f"{API}/{path}", body, GUEST)
        refusals.add(path, run.encode() not in answer.body and name.encode() not in answer.body, str(answer))
    query = {"query": f'query {{ mlflowGetRun(input: {{runId: "{run}"}}) {{ run {{ info {{ runId }} }} }} }}'}
    answer = server.ask("POST", "/graphql", query, GUEST)
    refusals.add("graphql", f'"runId": "{run}"'.encode() not in answer.body.replace(b'":"', b'": "'), str(answer))
    assert server.ask("GET", f"{ARTIFACTS}/{artifact}").body == b"private words"


def test_the_server_loads_no_pickle(server: Server, owned: dict[str, Any], refusals: Refusals, tmp_path: Path) -> None:
    """a model whose pickle would run a program"""
    mark = tmp_path / "it ran"
    program = f"cposix\nsystem\n(S'touch \"{mark}\"'\ntR.".encode()
    flavor = "flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n    model_path: model.pkl\n"
    model = (
        f"artifact_path: model\n{flavor}  sklearn:\n    pickled_model: model.pkl\n    serialization_format: pickle\n"
    )
    base = f"{owned['experiment']}/{owned['run']}/artifacts/model"
    for path, content in (("model.pkl", program), ("MLmodel", model.encode()), ("data.pickle", program)):
        assert server.ask("PUT", f"{ARTIFACTS}/{base}/{path}", content).status == 200
    fields = {"name": owned["name"], "source": f"runs:/{owned['run']}/model", "run_id": owned["run"]}
    version = server.ask("POST", f"{API}/model-versions/create", fields)
    assert version.status == 200
    number = version.json["model_version"]["version"]
    paths = [
        f"{ARTIFACTS}/{base}/model.pkl",
        f"/get-artifact?run_uuid={owned['run']}&path=model/model.pkl",
        f"/model-versions/get-artifact?name={owned['name']}&version={number}&path=model.pkl",
        f"{API}/artifacts/list?run_id={owned['run']}&path=model",
        f"{API}/model-versions/get?name={owned['name']}&version={number}",
        f"{API}/model-versions/get-download-uri?name={owned['name']}&version={number}",
    ]
    for path in paths:
        server.ask("GET", path)
        refusals.add(path, not mark.exists())
    model_json = json.dumps({"artifact_path": "model", "flavors": {}, "run_id": "x"})
    server.ask("POST", f"{API}/runs/log-model", {"run_id": owned["run"], "model_json": model_json})
    refusals.add("log-model", not mark.exists())
    subprocess.run(["python3", "-c", f"import pickle; pickle.loads({program!r})"], check=True)
    assert mark.exists()  # loading the pickle does run the program


def test_the_store_and_the_database_require_keys(server: Server, refusals: Refusals) -> None:
    """the store and the database without the server's keys"""
    import http.client

    line = Path("/proc", str(server.members()[1]), "cmdline").read_bytes().replace(b"\0", b" ").decode()
    ports = {name: int(port) for name, port in re.findall(r"-(\S+?)\.port=(\d+)", line) if not name.endswith("grpc")}
    paths = [
        "/",
        "/mlflow",
        "/mlflow/?list-type=2",
        "/buckets/mlflow/",
        "/dir/assign",
        "/dir/lookup?volumeId=1",
        "/1,01",
    ]
    for name in ("s3", "master", "filer", "volume", "admin"):
        for path in paths[name == "master" :]:  # the master's first page is public: how full the disk is
            connection = http.client.HTTPConnection("127.0.0.1", ports[name], timeout=30)
            connection.request("GET", path)
            answer = connection.getresponse()
            refusals.expect(f"{name} {path}", Answer(answer.status, answer.read(500)))
            connection.close()
    (database,) = re.findall(rb"--port=(\d+)", Path("/proc", str(server.members()[0]), "cmdline").read_bytes())
    for user in ("mlflow", "postgres"):
        for password in ("", "mlflow", "postgres"):
            command = ["psql", f"postgresql://{user}@127.0.0.1:{database.decode()}/mlflow", "-c", "select 1"]
            environment = {"PATH": os.environ["PATH"], "PGPASSWORD": password}
            asked = subprocess.run(command, env=environment, capture_output=True, check=False)
            refusals.add(f"{user} {password}", asked.returncode != 0)
    assert refusals.not_refused == []


def test_secrets_are_only_in_their_own_files(server: Server, refusals: Refusals) -> None:
    """a secret in a log, a command line or a file that is not meant to hold it"""
    folder = server.root / "runs" / ".server"
    secret_files = {"credentials.json", "secrets.json", "identities.json", "security.toml"}
    secrets = [*server.secrets.values(), "canary-0815-hush"]
    data = [path for path in (folder / "database").resolve().rglob("*") if path.is_file()]
    files = [path for path in (*server.root.rglob("*"), *data) if path.is_file() and path.name not in secret_files]
    lines = list(Path("/proc").glob("[0-9]*/cmdline"))
    assert {"mlflow.log", "postgres.log", "seaweedfs.log"} <= {path.name for path in files}
    for path in [*files, *lines]:
        try:
            content = path.read_bytes()
        except OSError:  # the process has ended, or PostgreSQL has removed the file
            continue
        refusals.add(str(path), not [secret for secret in secrets if secret.encode() in content])
    for name in secret_files:
        (path,) = folder.rglob(name)
        refusals.add(name, path.stat().st_mode & 0o077 == 0)
    for pid in server.members():
        environment = Path("/proc", str(pid), "environ").read_bytes()
        refusals.add(f"environment of {pid}", b"canary-0815-hush" not in environment)
