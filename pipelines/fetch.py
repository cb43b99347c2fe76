"""Fetch MNIST's four files and verify them: python pipelines/fetch.py."""

from piecewise.stages.run import run

if __name__ == "__main__":
    raise SystemExit(run("fetch"))
