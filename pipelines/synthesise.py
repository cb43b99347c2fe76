"""Generate one synthetic data set: python pipelines/synthesise.py NAME."""

import sys
from pathlib import Path

from piecewise.cli import guarded
from piecewise.data.stored import Generated
from piecewise.durable import read_json
from piecewise.jobs.build import build_data
from piecewise.jobs.config import DataConfig


def main(name: str) -> int:
    source = build_data(DataConfig.of("data", read_json(Path("build/data") / f"{name}.json")))
    assert isinstance(source, Generated)
    for part in ("train", "test"):
        source.write(part, Path("data") / name / f"{part}.safetensors")
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded(main, *sys.argv[1:]))
