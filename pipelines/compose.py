"""Freeze every experiment, and digest the source that each stage runs: python pipelines/compose.py."""

from piecewise.stages.compose import main

if __name__ == "__main__":
    raise SystemExit(main())
