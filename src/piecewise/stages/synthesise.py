"""The stage `synthesise`: generate one data set."""

from piecewise.data.stored import Generated
from piecewise.durable import read_json
from piecewise.jobs.config import DataConfig
from piecewise.jobs.targets import construct
from piecewise.project import Project


def main(name: str) -> None:
    options = read_json(Project().build / "data" / f"{name}.json")
    source: Generated = construct(DataConfig.of("data", options), Generated)
    for part in ("train", "test"):
        source.write(part, Project().data / name / f"{part}.safetensors")
