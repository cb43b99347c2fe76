"""Passwords are made once, are private, and are sent to one address only."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from piecewise.errors import BadInput
from piecewise.project import Project
from piecewise.server.credentials import read_or_make_login, read_or_make_secrets, secrets_file
from piecewise.tracking.store import credentials
from piecewise.tracking.store.credentials import FILE, lend, read

URI = "http://127.0.0.1:5001"
USER, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_random_made_once_and_private_with_any_umask(tmp_path: Path) -> None:
    os.umask(0)
    first = read_or_make_secrets(Project(tmp_path))
    assert read_or_make_secrets(Project(tmp_path)) == first
    assert mode(secrets_file(Project(tmp_path))) == 0o600
    assert mode(secrets_file(Project(tmp_path)).parent) == 0o700
    assert len(set(first)) == len(first) == 8
    assert {len(value) for value in first} == {64}
    assert not set(first) & set(read_or_make_secrets(Project(tmp_path / "other")))


def test_damaged_secrets_are_reported_not_replaced(tmp_path: Path) -> None:
    read_or_make_secrets(Project(tmp_path))
    secrets_file(Project(tmp_path)).write_text('{"database": "x"}')
    with pytest.raises(BadInput, match=r"secrets\.json is damaged \(KeyError\)"):
        read_or_make_secrets(Project(tmp_path))


def test_the_password_stays_when_the_address_changes(tmp_path: Path) -> None:
    name, password = read_or_make_login(Project(tmp_path), URI)
    assert (name, len(password)) == ("admin", 64)
    assert read_or_make_login(Project(tmp_path), "http://127.0.0.1:7") == (name, password)
    assert read(Project(tmp_path)) == {"uri": "http://127.0.0.1:7", "username": name, "password": password}
    assert mode(tmp_path / FILE) == 0o600


@pytest.mark.parametrize("uri", [URI, "http://localhost:5001", f"{URI}/"])
def test_credentials_are_set_for_the_servers_own_address(tmp_path: Path, uri: str) -> None:
    name, password = read_or_make_login(Project(tmp_path), URI)
    lend(uri, Project(tmp_path))
    assert (os.environ[USER], os.environ[PASSWORD]) == (name, password)
    lend("http://other.example:5001", Project(tmp_path))
    assert USER not in os.environ
    assert PASSWORD not in os.environ


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:5002",
        "https://127.0.0.1:5001",
        "http://127.0.0.1.evil.example:5001",
        "http://evil.example:5001",
        "http://127.0.0.1:5001@evil.example:5001",
        "http://[::1:5001",
        "http://127.0.0.1:99999",
        "sqlite:///mlflow.db",
        "",
    ],
)
def test_credentials_are_set_for_no_other_address(tmp_path: Path, uri: str) -> None:
    read_or_make_login(Project(tmp_path), URI)
    lend(uri, Project(tmp_path))
    assert USER not in os.environ
    assert PASSWORD not in os.environ


@pytest.mark.parametrize("name", [USER, PASSWORD])
def test_the_users_own_variables_take_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    read_or_make_login(Project(tmp_path), URI)
    monkeypatch.setenv(name, "theirs")
    lend(URI, Project(tmp_path))
    lend("", Project(tmp_path))
    assert os.environ[name] == "theirs"
    assert len({USER, PASSWORD} & os.environ.keys()) == 1


def test_without_a_server_no_credentials_are_set(tmp_path: Path) -> None:
    lend(URI, Project(tmp_path))
    assert USER not in os.environ
    assert credentials.read(Project(tmp_path)) is None


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    read_or_make_login(Project(tmp_path), URI)
    (tmp_path / FILE).chmod(0o640)
    with pytest.raises(BadInput, match="has mode 0640: others may have read the password; allowed: 0600"):
        lend(URI, Project(tmp_path))


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"uri": URI})])
def test_a_damaged_file_is_bad_input(tmp_path: Path, text: str) -> None:
    read_or_make_login(Project(tmp_path), URI)
    (tmp_path / FILE).write_text(text)
    with pytest.raises(BadInput, match=r"credentials\.json is damaged"):
        lend(URI, Project(tmp_path))
