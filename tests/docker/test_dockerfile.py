"""The images of docker/Dockerfile are pinned, hash-checked and run without root; their scripts keep secrets."""

from __future__ import annotations

import os
import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

from small_project import ROOT

DOCKER = ROOT / "docker"
TEXT = (DOCKER / "Dockerfile").read_text()
LINES = re.sub(r"\\\n", " ", TEXT).splitlines()
STAGES = re.findall(r"^FROM .+ AS (\S+)$", TEXT, re.MULTILINE)


def lines_of(stage: str) -> list[str]:
    start = next(number for number, line in enumerate(LINES) if line.endswith(f" AS {stage}"))
    end = next((n for n, line in enumerate(LINES[start + 1 :], start + 1) if line.startswith("FROM ")), len(LINES))
    return LINES[start:end]


def locked(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)", path.read_text(), re.MULTILINE))


def test_base_images_are_pinned_by_digest() -> None:
    for base in re.findall(r"^FROM (\S+)", TEXT, re.MULTILINE):
        assert base in STAGES or re.fullmatch(r"\w+:[\w.-]+@sha256:[0-9a-f]{64}", base)
    assert "ADD " not in TEXT
    assert not re.search(r"curl|wget|https?://(?!127\.0\.0\.1)", TEXT)


@pytest.mark.parametrize("stage", ["server", "trainer"])
def test_image_runs_as_an_ordinary_user(stage: str) -> None:
    users = [line.split()[1] for line in lines_of(stage) if line.startswith("USER ")]
    assert users == ["10001:10001"]
    assert any(line.startswith("HEALTHCHECK ") for line in lines_of(stage))
    assert 'ENTRYPOINT ["entrypoint"]' in lines_of(stage)


def test_every_package_is_checked_against_a_hash() -> None:
    installs = [line for line in LINES if "pip install" in line]
    assert len(installs) == 3
    assert all("--require-hashes" in line or "--no-deps" in line for line in installs)
    for lock in (DOCKER / "server.lock", ROOT / "requirements.lock", ROOT / "tests" / "docker" / "tools.lock"):
        blocks = re.split(r"\n(?=\S)", lock.read_text().strip())
        assert all("--hash=sha256:" in block for block in blocks)


def test_server_has_the_versions_of_the_project() -> None:
    ours, server = locked(ROOT / "requirements.lock"), locked(DOCKER / "server.lock")
    assert server["mlflow"] == ours["mlflow"]
    assert {name: server[name] for name in server.keys() & ours.keys() if server[name] != ours[name]} == {}
    assert "torch" not in server


def test_build_context_has_the_copied_files_and_no_secret() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    kept = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(?:--\S+ )*(.+) \S+$", TEXT.replace("${LOCK}", "requirements.lock"), re.M)
    for source in " ".join(copied).split():
        assert source == "." or (ROOT / source).exists()
        assert source == "." or Path(source).parts[0] in kept
    assert rules[0] == "*"
    assert rules.index("docker/secrets") > rules.index("!docker")
    tracked = subprocess.run(["git", "check-ignore", "-q", "docker/secrets/x"], cwd=ROOT, check=False).returncode
    assert tracked in (0, 128)  # ignored, or no checkout
    assert all((ROOT / name).exists() for name in kept if not fnmatch(name, "*[*]*"))


def entrypoint(tmp_path: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    words = ["sh", str(DOCKER / "entrypoint.sh"), *command]
    clean = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(words, env=clean, cwd=tmp_path, capture_output=True, text=True, check=False)


def test_entrypoint_passes_a_secret_to_its_program_only(tmp_path: Path) -> None:
    secret = tmp_path / "a secret"
    secret.write_text("can ary$1`\n")
    done = entrypoint(tmp_path, "sh", "-c", 'echo "$PGPASSWORD"; env', PGPASSWORD_FILE=str(secret))
    assert done.stdout.startswith("can ary$1`\n")
    assert "PGPASSWORD_FILE" not in done.stdout
    assert done.returncode == 0


def test_entrypoint_ends_with_its_programs_exit_code(tmp_path: Path) -> None:
    assert entrypoint(tmp_path, "sh", "-c", "exit 75").returncode == 75


@pytest.mark.parametrize("content", [None, ""])
def test_a_missing_secret_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "key").write_text(content)
    done = entrypoint(tmp_path, "echo", "started", AWS_SECRET_ACCESS_KEY_FILE="key")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "AWS_SECRET_ACCESS_KEY_FILE=key is empty or cannot be read" in done.stderr


def test_secrets_are_private_random_and_made_once(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two", tmp_path / "one"]
    made = []
    for folder in folders:
        subprocess.run(["sh", DOCKER / "secrets.sh", folder], check=True, capture_output=True)
        made.append({path.name: path.read_text() for path in folder.iterdir()})
        assert folder.stat().st_mode & 0o777 == 0o700
        assert all(path.stat().st_mode & 0o777 == 0o444 for path in folder.iterdir())
    assert made[0] == made[2]
    assert not set(made[0].values()) & set(made[1].values())
    assert all(re.fullmatch("[0-9a-f]{64}", value) for name, value in made[0].items() if name != "s3_identities")
    assert made[0]["s3_secret_key"] in made[0]["s3_identities"]


@pytest.mark.slow
def test_linter_finds_nothing(tools: Path) -> None:
    done = subprocess.run([tools / "hadolint", DOCKER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    bad = subprocess.run([tools / "hadolint", "-"], input=b"FROM x\nUSER root\n", check=False, capture_output=True)
    assert bad.returncode == 1
