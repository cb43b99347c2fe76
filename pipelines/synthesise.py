"""Generate one data set: python pipelines/synthesise.py NAME."""

import sys

from piecewise.stages.run import run

if __name__ == "__main__":
    raise SystemExit(run("synthesise", *sys.argv[1:]))
