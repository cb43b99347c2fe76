"""What configurations say about themselves, read from their files without Hydra."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from piecewise.errors import BadInput
from piecewise.jobs.config_folders import config_files, config_folders, config_name, find_config
from piecewise.jobs.expectations import expectations


def experiments(conf: Path) -> list[str]:
    """The names of the experiments."""
    return options(conf, "experiment")


def groups(conf: Path) -> list[str]:
    """The groups that have options. A group inside another one is `outer/inner`."""
    found = {parent for folder in config_folders(conf) for name in _names(folder) for parent in name.parents}
    return sorted(group.as_posix() for group in found - {Path()})


def options(conf: Path, group: str) -> list[str]:
    """The names that may be chosen in a group. That of a file in a sub-folder is `folder/name`."""
    return sorted({name.as_posix() for folder in config_folders(conf) for name in _names(folder / group)})


def _names(folder: Path) -> Iterator[Path]:
    """The YAML files below a folder that are not hidden, without their suffix."""
    for path in config_files(folder):
        name = path.relative_to(folder).with_suffix("")
        if not any(part.startswith(".") for part in name.parts):
            yield name


def first_comment(conf: Path, group: str, option: str) -> str:
    """The first comment of an option's file, without Hydra's `# @package`; empty if the file starts with a key."""
    path = find_config(conf, f"{group}/{option}.yaml")
    for line in path.read_text("utf-8", errors="replace").splitlines():
        comment = line.lstrip("# ").rstrip()
        if line.strip() and not line.startswith("#"):
            break
        if comment and not comment.startswith("@"):
            return comment
    return ""


def read_about(conf: Path, experiment: str) -> dict[str, Any]:
    """The `about` of one experiment. Raises BadInput if its file has none, or expects what cannot be compared."""
    path = find_config(conf, f"experiment/{experiment}.yaml")
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
        about = content.get("about") if isinstance(content, dict) else None
        if not isinstance(about, dict) or not about.get("question"):
            raise BadInput("about.question is missing")
        if isinstance(about["question"], list | dict):
            raise BadInput(f"about.question={about['question']} must be text; quotes around it help")
        expectations(about)
    except (yaml.YAMLError, UnicodeDecodeError, OSError, BadInput) as error:
        raise BadInput(f"{config_name(conf, path)}: {one_line(error)}") from error
    return about


def one_line(error: Exception) -> str:
    """The fault of a file in one short line."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return " ".join(str(getattr(error, "strerror", None) or error).split())
