"""Train every job of one experiment: python pipelines/train.py EXPERIMENT."""

import sys

from piecewise.stages.run import run

if __name__ == "__main__":
    raise SystemExit(run("train", *sys.argv[1:]))
