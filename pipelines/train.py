"""Train every job of one experiment: python pipelines/train.py EXPERIMENT."""

import sys

from piecewise.stages.train import main

if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
