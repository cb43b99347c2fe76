"""The stage `fetch`: MNIST's four files, verified."""

from piecewise.data.sources import fetch_mnist
from piecewise.durable import read_json
from piecewise.project import Project


def main() -> None:
    asked = read_json(Project().build / "fetch.json")
    print("MNIST from", fetch_mnist(Project().data / "mnist", asked["sources"], asked["folder"]))
