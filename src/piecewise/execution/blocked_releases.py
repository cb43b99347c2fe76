"""Releases that must never be imported: found by name and version, without importing them."""

import shlex
import sys
from importlib.metadata import PackageNotFoundError, version

from packaging.specifiers import SpecifierSet

from piecewise.errors import BadInput

THEFT = "attackers published it to steal credentials (Lightning #21691): change every one this machine holds"

# By package: the releases, and why they are blocked.
BLOCKED: dict[str, tuple[tuple[str, ...], str]] = {
    "pytorch-lightning": (("==2.6.2", "==2.6.3"), THEFT),
    "lightning": (("==2.6.2", "==2.6.3"), THEFT),
    "mlflow": (("<3.13",), "it still writes runs to files, which later releases refuse to read"),
    "torch": (("<2.10",), "a crafted checkpoint can run code in it, even if only weights are loaded (CVE-2026-24747)"),
    "hydra-core": (("<1.3.6",), "a configuration can call what Hydra forbids (Hydra #3410)"),
}


def blocked() -> list[str]:
    """A sentence about each blocked release that is installed."""
    found = []
    for package, (releases, reason) in BLOCKED.items():
        installed = installed_version(package)
        if installed and any(SpecifierSet(release).contains(installed, prereleases=True) for release in releases):
            found.append(f"{package} {installed} is installed: {reason}")
    return found


def installed_version(package: str) -> str | None:
    """None if the package is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def refuse_blocked() -> None:
    """Raises BadInput if a blocked release is installed. Call it before any of them is imported."""
    if sentences := blocked():
        raise BadInput(f"{'; '.join(sentences)}. It was not imported; the remedy: {reinstall()}")


def reinstall() -> str:
    """The command that installs what the lock pins."""
    return f"{shlex.quote(sys.executable)} -m pip install --require-hashes --requirement requirements.lock"
