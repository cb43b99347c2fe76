"""The stage `synthesise`: generate one data set."""

from __future__ import annotations

from piecewise.project import Project
from piecewise.stages.run import run


def main(name: str) -> int:
    return run(_synthesise, name)


def _synthesise(name: str) -> int:
    from piecewise.data.stored import Generated
    from piecewise.durable import read_json
    from piecewise.jobs.build import build_data
    from piecewise.jobs.config import DataConfig

    source = build_data(DataConfig.of("data", read_json(Project().build / "data" / f"{name}.json")))
    assert isinstance(source, Generated)
    for part in ("train", "test"):
        source.write(part, Project().data / name / f"{part}.safetensors")
    return 0
