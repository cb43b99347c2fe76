"""The services' configurations: they listen on loopback only, and no command line holds a secret."""

from __future__ import annotations

import configparser
import json
import stat
import tomllib
from pathlib import Path

import pytest

from piecewise.errors import BadInput
from piecewise.project import Project
from piecewise.server import mlflow_service, postgres, seaweedfs, service
from piecewise.server.credentials import Secrets

SECRETS = Secrets(*(f"secret-{name}" for name in Secrets._fields))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / ".venv" / "server" / "bin"
    folder.mkdir(parents=True)
    for name in ("mlflow", "weed"):
        (folder / name).touch()
    return tmp_path


@pytest.fixture
def mlflow_command(root: Path) -> dict[str, str]:
    return dict(word.lstrip("-").split("=", 1) for word in mlflow_service.command(Project(root), 5001, 5002)[2:])


def test_mlflow_accepts_its_own_addresses_only(mlflow_command: dict[str, str]) -> None:
    assert (mlflow_command["host"], mlflow_command["port"]) == ("127.0.0.1", "5001")
    assert mlflow_command["allowed-hosts"] == "127.0.0.1:5001,localhost:5001"
    assert mlflow_command["cors-allowed-origins"] == "http://127.0.0.1:5001,http://localhost:5001"
    assert int(mlflow_command["workers"]) > 1
    assert mlflow_command["app-name"] == "basic-auth"
    assert mlflow_command["artifacts-destination"] == "s3://mlflow"
    assert mlflow_command["backend-store-uri"] == "postgresql+psycopg://mlflow@127.0.0.1:5002/mlflow"


def test_mlflow_gives_new_users_no_permissions() -> None:
    read = configparser.ConfigParser()
    read.read_string(mlflow_service.auth_settings("admin", 5002))
    assert read["mlflow"]["default_permission"] == "NO_PERMISSIONS"
    assert read["mlflow"]["grant_default_workspace_access"] == "false"
    assert read["mlflow"]["authorization_function"] == "piecewise_guard:authenticate"
    assert (mlflow_service.PLUGIN / "piecewise_guard.py").is_file()


def test_mlflow_unpickles_nothing_runs_no_jobs_and_sends_no_telemetry(tmp_path: Path) -> None:
    given = mlflow_service.environment(tmp_path, "password", SECRETS, 5003)
    assert given["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    assert given["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert given["MLFLOW_ENABLE_AI_GATEWAY"] == "false"
    assert given["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert given["MLFLOW_S3_ENDPOINT_URL"] == "http://127.0.0.1:5003"


def test_each_part_of_the_store_listens_on_its_own_loopback_port(root: Path) -> None:
    command = seaweedfs.command(Project(root), root, list(range(40_000, 40_000 + seaweedfs.NUM_PORTS)))
    assert {"-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-disableHttp", "-s3.port=40000"} <= {*command}
    assert {"-admin.port=30008", "-admin.port.grpc=40008"} <= {*command}
    assert len({word.partition("=")[2] for word in command if ".port" in word and not word.endswith("=0")}) == 10
    with pytest.raises(ValueError, match="zip"):
        seaweedfs.command(Project(root), root, [6000] * (seaweedfs.NUM_PORTS - 1))


def test_the_parts_of_the_store_use_different_keys(root: Path) -> None:
    read = tomllib.loads(seaweedfs.security(root, SECRETS))
    jwt = read["jwt"]
    keys = [jwt["signing"], jwt["signing"]["read"], jwt["filer_signing"], jwt["filer_signing"]["read"]]
    assert len({key["key"] for key in keys}) == 4
    assert read["access"] == {"ui": False}
    assert {"ca", *seaweedfs.PARTS, "client"} <= read["grpc"].keys()
    (identity,) = json.loads(seaweedfs.identities(SECRETS))["identities"]
    assert all(action.endswith(":mlflow") for action in identity["actions"])


def test_each_certificate_is_new_and_its_key_private(tmp_path: Path) -> None:
    seaweedfs.make_certificate(tmp_path)
    key = (tmp_path / "key.pem").read_bytes()
    assert b"PRIVATE KEY" in key
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600
    seaweedfs.make_certificate(tmp_path)
    assert (tmp_path / "key.pem").read_bytes() != key


def test_a_missing_openssl_is_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInput, match="openssl is not in PATH; apt-get install openssl"):
        seaweedfs.make_certificate(tmp_path)


def test_postgres_has_no_socket_and_admits_one_role(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "postgres_program", lambda name, version: f"/programs/{name}")
    command = postgres.command(tmp_path, 5002)
    assert command[:3] == ["/programs/postgres", "-D", str(tmp_path)]
    assert {"--listen_addresses=127.0.0.1", "--port=5002", "--unix_socket_directories="} <= {*command}
    assert postgres.PG_HBA.split() == ["host", "mlflow", "mlflow", "127.0.0.1/32", "scram-sha-256"]


def test_no_command_line_holds_a_secret(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "postgres_program", lambda name, version: name)
    words = [
        *mlflow_service.command(Project(root), 5001, 5002),
        *postgres.command(root, 1),
        *seaweedfs.command(Project(root), root, [1] * 9),
    ]
    assert not [word for word in words if "secret-" in word]


@pytest.mark.parametrize("name", ["mlflow", "weed"])
def test_a_missing_program_is_named_with_its_remedy(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match=rf"/{name} is missing; make server installs it"):
        service.installed_program(Project(tmp_path), name)


def test_the_newest_postgres_or_the_given_version_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "POSTGRES", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInput, match=r"PostgreSQL's postgres is neither below .+ nor in PATH; apt-get install"):
        service.postgres_program("postgres")
    for version in ("9", "15", "17"):
        (tmp_path / version / "bin").mkdir(parents=True)
        (tmp_path / version / "bin" / "postgres").touch()
    assert service.postgres_program("postgres") == str(tmp_path / "17" / "bin" / "postgres")
    assert service.postgres_program("postgres", "15") == str(tmp_path / "15" / "bin" / "postgres")
    with pytest.raises(BadInput, match=r"PostgreSQL's postgres, version 16, is neither below"):
        service.postgres_program("postgres", "16")
    (tmp_path / "PG_VERSION").write_text("15\n")
    assert postgres.command(tmp_path, 1)[0] == str(tmp_path / "15" / "bin" / "postgres")
