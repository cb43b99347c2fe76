"""Generate one data set: python pipelines/synthesise.py NAME."""

import sys

from piecewise.stages.synthesise import main

if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
