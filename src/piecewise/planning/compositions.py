"""Composing the jobs of one plan: once for each set of group choices."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict

from piecewise.planning.hydra_internals import apply_overrides, copied, group_test
from piecewise.planning.hydra_settings import HYDRA
from piecewise.planning.override_parser import parse


class Composition(NamedTuple):
    """`choices` has the chosen option of each group."""

    config: DictConfig
    choices: dict[str, Any]


class Compositions:
    """Configurations as Hydra composes them, each equal to one that is composed anew.

    Hydra decides by the overrides of groups alone which files it merges, and then applies all other overrides in their
    order. So jobs with the same overrides of groups share the merged files.
    """

    def __init__(self, loader: ConfigLoader) -> None:
        self._loader = loader
        self._merged: dict[tuple[str, ...], Composition] = {}
        self._groups: dict[str, bool] = {}

    def compose(self, overrides: Sequence[str]) -> Composition:
        """The composition of one job, without Hydra's own settings. Raises Hydra's errors."""
        parsed = [parse(text) for text in overrides]
        group_choices = self._choices(parsed)
        if group_choices not in self._merged:
            self._merged[group_choices] = self._merge(group_choices)
        merged = self._merged[group_choices]
        config = copied(merged.config)
        apply_overrides([item for item in parsed if item.input_line not in group_choices], config)
        return Composition(config, merged.choices)

    def group_choices(self, overrides: Sequence[str]) -> tuple[str, ...]:
        """Those of the overrides that decide which files are merged."""
        return self._choices([parse(text) for text in overrides])

    def _choices(self, parsed: Sequence[Override]) -> tuple[str, ...]:
        has_odd = any(item.is_sweep_override() or HYDRA in str(item.input_line) for item in parsed)
        return tuple(str(item.input_line) for item in parsed if has_odd or self._is_choice(item))

    def _is_choice(self, override: Override) -> bool:
        """As Hydra tells them apart: `model={width: 3}` sets options of whatever model is chosen."""
        key = override.key_or_group
        if key not in self._groups:
            self._groups[key] = self._is_group(key)
        return self._groups[key] and not isinstance(override.value(), dict)

    @cached_property
    def _is_group(self) -> Callable[[str], bool]:
        return group_test(self._loader)

    def _merge(self, overrides: Sequence[str]) -> Composition:
        config: DictConfig = self._loader.load_configuration("config", list(overrides), RunMode.RUN)
        choices: Any = config.hydra.runtime.choices
        with open_dict(config):
            del config[HYDRA]
        return Composition(config, choices)
