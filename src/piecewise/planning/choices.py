"""The options of groups that a command line chooses."""

from collections.abc import Iterable
from pathlib import Path

from hydra.core.override_parser.types import Glob, Override

from piecewise.errors import BadInput, nearest
from piecewise.jobs.about import groups, options
from piecewise.jobs.config_folders import config_folders
from piecewise.journal.names import check_name, is_valid
from piecewise.planning.override_parser import parse

EXPERIMENTS = "experiment/"


def check_choices(conf: Path, overrides: Iterable[str]) -> None:
    """Refuse options that their group does not have. Hydra would also read files outside the project's folders."""
    known = groups(conf)
    for text in dict.fromkeys(overrides):
        group = text.partition("=")[0].lstrip("+").partition("@")[0]
        if not group:
            raise BadInput(f"{text} cannot be read; allowed: KEY=VALUE")
        if group in known:
            _check_choice(conf, text, group)


def _check_choice(conf: Path, text: str, group: str) -> None:
    found = options(conf, group)
    override = parse(text)
    if override.is_sweep_override():  # each of its values is checked by itself
        return
    usable = [name for name in found if group != EXPERIMENTS.rstrip("/") or is_valid(name)]
    value = override.value()
    if group.startswith(EXPERIMENTS):
        raise BadInput(f"{text} is not allowed; instead: experiment={group.removeprefix(EXPERIMENTS)}/{value}")
    if value in (None, ""):
        default = next((name for name in ("none", "auto") if name in usable), "")  # what null may mean
        raise BadInput(f"{text} is no option of {group}; {nearest(default, usable)}")
    if not isinstance(value, str):
        raise BadInput(f"{text} is no option of {group}: it must be one name, as text; {nearest('', usable)}")
    if value not in found:
        if any((folder / group / f"{value}.yml").is_file() for folder in config_folders(conf)):
            raise BadInput(f"{text} does not exist: {value}.yml must be named {value}.yaml")
        moved = [name for name in usable if name.rpartition("/")[2] == value.rpartition("/")[2]]
        hint = f"did you mean '{moved[0]}'? allowed: {', '.join(usable)}" if moved else nearest(value, usable)
        raise BadInput(f"{text} does not exist; {hint}")


def options_matching(conf: Path, override: Override, pattern: Glob) -> list[str]:
    """The options of a group that a glob of an override matches; Hydra's own looks into no sub-folder."""
    group = override.key_or_group
    if group not in groups(conf):
        raise BadInput(f"{override.input_line}: {group} is no group; {nearest(group, groups(conf))}")
    found = options(conf, group)
    matching = pattern.filter(found)
    if not matching:
        raise BadInput(f"{override.input_line} matches no option of {group}; {nearest(pattern.include[0], found)}")
    for name in matching:
        check_name(name, str(override.input_line))
    return matching
