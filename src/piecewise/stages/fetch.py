"""The stage `fetch`: MNIST's four files, verified."""

from __future__ import annotations

from piecewise.project import Project
from piecewise.stages.run import run


def main() -> int:
    return run(_fetch)


def _fetch() -> int:
    from piecewise.data.sources import fetch_mnist
    from piecewise.durable import read_json

    asked = read_json(Project().build / "fetch.json")
    print("MNIST from", fetch_mnist(Project().data / "mnist", asked["sources"], asked["folder"]))
    return 0
