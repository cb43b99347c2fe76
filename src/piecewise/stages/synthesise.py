"""The stage `synthesise`: generate one data set."""

from piecewise.data.stored import Generated
from piecewise.durable import read_json
from piecewise.jobs.build import build_data
from piecewise.jobs.config import DataConfig
from piecewise.project import Project


def main(name: str) -> None:
    source = build_data(DataConfig.of("data", read_json(Project().build / "data" / f"{name}.json")))
    assert isinstance(source, Generated)
    for part in ("train", "test"):
        source.write(part, Project().data / name / f"{part}.safetensors")
