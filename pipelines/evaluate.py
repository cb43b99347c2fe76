"""Evaluate every trained job of one experiment: python pipelines/evaluate.py EXPERIMENT."""

import sys

from piecewise.stages.run import run

if __name__ == "__main__":
    raise SystemExit(run("evaluate", *sys.argv[1:]))
