"""Rules of docker/compose.yaml: no root, no public port, no secret in an environment."""

from __future__ import annotations

import configparser
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from piecewise.server import mlflow_service
from piecewise.server.credentials import Secrets
from small_project import ROOT

Compose = dict[str, Any]
DOCKER = ROOT / "docker"
SERVICES = ("database", "store", "server", "trainer")
LONG_RUNNING = ("database", "store", "server")


def test_compose_has_exactly_these_services(compose: Compose) -> None:
    assert sorted(compose["services"]) == sorted(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_service_has_no_unneeded_rights(compose: Compose, name: str) -> None:
    service = compose["services"][name]
    user = re.sub(r"\$\{\w+:-(\d+)\}", r"\1", service["user"])
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] <= 1024
    assert re.fullmatch(r"\d+g", service["mem_limit"])
    assert not {"privileged", "cap_add", "devices", "network_mode", "pid", "ipc", "userns_mode"} & service.keys()


@pytest.mark.parametrize("name", SERVICES)
def test_image_is_built_here_or_pinned_by_version_and_digest(compose: Compose, name: str) -> None:
    service = compose["services"][name]
    if "build" not in service:
        assert re.fullmatch(r"[\w/]+:\d[\w.-]+@sha256:[0-9a-f]{64}", service["image"])
    else:
        built = service["build"]
        stages = re.findall(r"^FROM .+ AS (\S+)$", (DOCKER.parent / built["dockerfile"]).read_text(), re.MULTILINE)
        assert built["target"] in stages
        assert (DOCKER / built["context"]).resolve() == ROOT


def test_only_the_pages_are_reachable_and_only_from_this_machine(compose: Compose) -> None:
    ports = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert ports == {"server": ["127.0.0.1:5000:5000"]}


def test_database_and_store_share_a_network_with_the_server_only(compose: Compose) -> None:
    services, networks = compose["services"], compose["networks"]
    for name in ("database", "store"):
        (network,) = services[name]["networks"]
        assert networks[network] == {"internal": True}
        assert [other for other in SERVICES if network in services[other]["networks"]] == [name, "server"]
    assert services["trainer"]["networks"] == ["pages"]


def test_long_running_services_are_checked_and_restarted(compose: Compose) -> None:
    for name in LONG_RUNNING:
        service = compose["services"][name]
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] == "CMD"
        for other, waits in service.get("depends_on", {}).items():
            assert other in LONG_RUNNING
            assert waits == {"condition": "service_healthy"}
    assert compose["services"]["trainer"]["depends_on"] == {"server": {"condition": "service_healthy"}}


def test_data_is_in_volumes_and_only_the_project_is_mounted_from_the_host(compose: Compose) -> None:
    mounts = {name: compose["services"][name].get("volumes", []) for name in SERVICES}
    assert mounts["trainer"] == ["..:/project"]
    for name in LONG_RUNNING:
        for mount in mounts[name]:
            assert mount.partition(":")[0] in compose["volumes"]


def test_secrets_are_files_and_in_no_environment(compose: Compose) -> None:
    for name in SERVICES:
        service = compose["services"][name]
        for key, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|ACCESS_KEY|TOKEN", key):
                assert key.endswith("_FILE"), f"{name}: {key}"
                assert value.removeprefix("/run/secrets/") in service["secrets"]
        assert set(service["secrets"]) <= compose["secrets"].keys()
        assert not re.search(r"://[^/@ ]+:[^/@ ]+@", str(service)), f"{name}: a password in an address"
    for name, secret in compose["secrets"].items():
        assert secret == {"file": f"secrets/{name}"}


def test_the_script_makes_every_secret(compose: Compose, tmp_path: Path) -> None:
    subprocess.run(["sh", DOCKER / "secrets.sh", tmp_path / "secrets"], check=True, capture_output=True)
    assert sorted(path.name for path in (tmp_path / "secrets").iterdir()) == sorted(compose["secrets"])


def test_server_accepts_its_own_addresses_and_requires_permissions(compose: Compose) -> None:
    server = compose["services"]["server"]
    given = dict(word.removeprefix("--").split("=", 1) for word in server["command"] if word.startswith("--"))
    assert given["app-name"] == "basic-auth"
    assert set(given["allowed-hosts"].split(",")) == {"localhost:5000", "127.0.0.1:5000", "server:5000"}
    assert "*" not in given["allowed-hosts"] + given["cors-allowed-origins"]
    assert server["environment"]["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert "default_permission = NO_PERMISSIONS" in (DOCKER / "auth.ini").read_text()
    image = (DOCKER / "Dockerfile").read_text()
    (place,) = re.findall(r"^ENV PYTHONPATH=(\S+)$", image, re.MULTILINE)
    assert (
        f"COPY --chmod=0444 src/piecewise/server/mlflow_plugin/piecewise_guard.py {place}/piecewise_guard.py\n" in image
    )


def test_server_has_the_same_settings_as_piecewise_server(compose: Compose, tmp_path: Path) -> None:
    ours = configparser.ConfigParser()
    ours.read(DOCKER / "auth.ini")
    theirs = configparser.ConfigParser()
    theirs.read_string(mlflow_service.auth_settings("admin", 5432))
    where = "database_uri"
    assert {**ours["mlflow"], where: ""} == {**theirs["mlflow"], where: ""}
    settings = compose["services"]["server"]["environment"]
    names = ("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "MLFLOW_ENABLE_AI_GATEWAY")
    names += ("MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX",)
    given = mlflow_service.environment(tmp_path, "", Secrets(*[""] * len(Secrets._fields)), 0)
    assert [settings[name] for name in names] == [given[name] for name in names]
    assert yaml.safe_load((ROOT / "conf" / "tracking" / "docker.yaml").read_text()) == {"uri": "http://server:5000"}


def test_telemetry_is_off(compose: Compose) -> None:
    assert "-master.telemetry=false" in compose["services"]["store"]["command"]
    text = (DOCKER / "Dockerfile").read_text()
    for setting in ("DO_NOT_TRACK=1", "DVC_NO_ANALYTICS=1", "MLFLOW_DISABLE_TELEMETRY=true"):
        assert setting in text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml"])
def test_file_follows_the_compose_specification(tools: Path, name: str) -> None:
    check = [tools / "check-jsonschema", "--builtin-schema", "vendor.compose-spec"]
    assert subprocess.run([*check, DOCKER / name], check=False).returncode == 0
    broken = subprocess.run([*check, "/dev/stdin"], input=b"services: {a: {imag: b}}", check=False, capture_output=True)
    assert broken.returncode == 1
