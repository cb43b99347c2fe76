"""Fetch MNIST's four files and verify them."""

from pathlib import Path

from piecewise.cli import guarded
from piecewise.data.sources import fetch_mnist
from piecewise.durable import read_json


def main() -> int:
    asked = read_json(Path("build/fetch.json"))
    print("MNIST from", fetch_mnist(Path("data/mnist"), asked["sources"], asked["folder"]))
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded(main))
