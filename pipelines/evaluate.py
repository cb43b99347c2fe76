"""Evaluate every trained job of one experiment: python pipelines/evaluate.py EXPERIMENT."""

import sys

from piecewise.stages.evaluate import main

if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
