"""Errors of Hydra and OmegaConf as one line: the key, the value, what is allowed."""

import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from piecewise.errors import BadInput, nearest
from piecewise.jobs.about import options
from piecewise.jobs.config_folders import SHIPPED, config_files, config_folders, config_name, find_config

ADDED_GROUP = re.compile(r"(?:Multiple values for |force-add of config groups is not supported: '\+\+)(\w+)")
IN_FILE = re.compile(r"In '([^']+)': \w+ raised while composing config: (.*?) full_key: (\S*)")

PROVIDED = {"num_inputs", "input_shape", "num_outputs", "num_classes", "params", "optimizer"}  # by piecewise, in no job


def hydra_message(error: BaseException, given: Sequence[str] = (), conf: Path | None = None) -> str:
    """The message of the innermost error that names a key; it quotes values from `given`, the overrides.

    With `conf`, the project's configurations, it also names the options of a group that have an unknown key.
    """
    for cause in _causes(error):
        if isinstance(cause, MissingConfigException) and cause.options is not None:
            group, _, name = (cause.missing_cfg_file or "").rpartition("/")
            return f"{group}={name} does not exist; {nearest(name, cause.options)}"
        if isinstance(cause, (ConfigAttributeError, ConfigKeyError)) and isinstance(cause.parent_node, DictConfig):
            if cause.key in _addable(cause.parent_node):
                text = _with_value(str(cause.full_key), given)
                return f"{text} is not in the job; allowed: +{text}, which adds the option"
            return _no_option(_with_value(str(cause.full_key), given), str(cause.full_key), cause.parent_node, conf)
        if isinstance(cause, MissingMandatoryValue):
            return f"{cause.full_key} is missing: it has no default, and must be given"
        if isinstance(cause, OmegaConfBaseException) and cause.full_key:
            return f"{_with_value(cause.full_key, given)}: {(cause.msg or str(cause)).splitlines()[0]}"
    if added := ADDED_GROUP.match(str(error)):
        text = next((item for item in given if item.lstrip("+").startswith(f"{added[1]}=")), added[1])
        return f"{text} is not allowed: {added[1]} has an option, which this replaces without +: {text.lstrip('+')}"
    if isinstance(error, OverrideParseException):
        if error.__cause__ is not None:  # a function such as sort() refuses its arguments
            reason = "; ".join(str(error.__cause__).strip().replace("Available", "allowed").splitlines())
            return f"{error.override} cannot be read: {reason}; text with parentheses needs quotes inside quotes"
        return f"{error.override} cannot be read; allowed: KEY=VALUE, with quotes around a VALUE of unusual characters"
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "HYDRA_FULL_ERROR" not in line]
    text = " ".join(lines)
    if (found := IN_FILE.match(text)) is None:
        return text or type(error).__name__
    file, message, key = found.groups()
    if file.startswith("experiment/") and key == "experiment":
        return f"{file}.yaml does not begin with the line '# @package _global_', so its keys are not those of a job"
    return f"{file}.yaml: {key}: {message}"


def _no_option(text: str, full_key: str, parent: DictConfig, conf: Path | None) -> str:
    group, _, key = full_key.rpartition(".")
    known = [str(name) for name in parent if not str(name).startswith("_") and name != "hydra"]
    allowed = nearest(key, known) if known or not group else f"the chosen {group} has none"
    others = ", ".join(_having(conf, group, key)) if conf is not None and group else ""
    return f"{text} is no option; {allowed}" + (f"; {key} belongs to {others}" if others else "")


def not_utf_8(conf: Path) -> list[str]:
    """The project's files that are not UTF-8, which Hydra cannot read; its own error names none."""
    found = []
    for path in (path for folder in config_folders(conf) if folder != SHIPPED for path in config_files(folder)):
        try:
            path.read_text("utf-8")
        except UnicodeDecodeError as error:
            found.append(f"{config_name(conf, path)} (byte {error.start})")
        except OSError:  # a folder or a broken link
            pass
    return sorted(found)


def _addable(group: DictConfig) -> set[str]:
    """Options of the group's class that its file leaves out, such as an optimizer's `eps`. `+` adds them."""
    from piecewise.jobs.targets import resolve  # these import torch
    from piecewise.jobs.trainer import OPTIONS

    try:
        name = group.get("_target_")
        if name == "pytorch_lightning.Trainer":
            return set(OPTIONS)
        return set(inspect.signature(resolve(name, "_target_", object)).parameters) - PROVIDED
    except (BadInput, OmegaConfBaseException, TypeError, ValueError):  # no class, or not one that a job may name
        return set()


def _having(conf: Path, group: str, key: str) -> list[str]:
    """The choices of a group that have a key in their files."""
    files = {name: find_config(conf, f"{group}/{name}.yaml") for name in options(conf, group)}
    pattern = re.compile(rf"^{re.escape(key)}:", re.MULTILINE)
    return [f"{group}={name}" for name, path in files.items() if pattern.search(path.read_text("utf-8", "replace"))]


def _with_value(key: str, given: Sequence[str]) -> str:
    return next((item.lstrip("+~") for item in given if item.lstrip("+~").startswith(f"{key}=")), key)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and its causes, innermost first."""
    if error is not None:
        yield from _causes(error.__cause__)
        yield error
