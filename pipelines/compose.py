"""Freeze every experiment, and digest the source that each stage runs: python pipelines/compose.py."""

from piecewise.stages.run import run

if __name__ == "__main__":
    raise SystemExit(run("compose"))
