"""Fetch MNIST's four files and verify them: python pipelines/fetch.py."""

from piecewise.stages.fetch import main

if __name__ == "__main__":
    raise SystemExit(main())
