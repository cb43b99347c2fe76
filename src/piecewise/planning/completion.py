"""Completion by Hydra: the script of each shell, and the candidates for an override."""

import contextlib
import io
from collections.abc import Callable
from pathlib import Path

from hydra import initialize
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.plugins.completion_plugin import CompletionPlugin

from piecewise import process_settings
from piecewise.errors import BadInput, nearest
from piecewise.jobs.about import groups, options
from piecewise.jobs.config import WORDS
from piecewise.planning.choices import EXPERIMENTS
from piecewise.planning.plan import composing

SCRIPTS = ("install", "uninstall")
# Hydra's script for bash splits the command's path at its spaces.
UNQUOTED, QUOTED = "EXECUTABLE=($(command -v $helper))", 'EXECUTABLE=("$(command -v $helper)")'
CHOICES = {**WORDS, "on_error": ("continue", "stop")}
ZSH = "autoload -Uz bashcompinit && bashcompinit\n"  # Hydra's script for zsh is that of bash, and needs this before it


def script(command: str, shell: str) -> str:
    """What the shell evaluates to begin or end completing the word `piecewise`. Needs no project. Raises BadInput."""
    if command not in SCRIPTS:
        raise BadInput(f"-sc {command}={shell}: {nearest(command, SCRIPTS)}")
    with process_settings.command_line("piecewise"), initialize(config_path=None, version_base=None):
        plugins = _plugins(GlobalHydra.instance().config_loader())
        if shell not in plugins:
            raise BadInput(f"-sc {command}={shell}: {nearest(shell, plugins)}")
        text = _printed(getattr(plugins[shell], command)).replace(UNQUOTED, QUOTED)
    return ZSH + text if (command, shell) == ("install", "zsh") else text


def complete_overrides(conf: Path, words: str) -> list[str]:
    """The candidates for the last of `words`, which are overrides and -m; after a space a new word begins."""
    word = words.rpartition(" ")[2]
    group, equals, value = word.partition("=")
    if equals and group in groups(conf):  # Hydra knows no options in sub-folders
        return [f"{group}={name}" for name in options(conf, group) if name.startswith(value)]
    if equals and group in CHOICES:  # Hydra offers the present value only
        return [f"{group}={name}" for name in CHOICES[group] if name.startswith(value)]
    with composing(conf) as loader, process_settings.environment(COMP_LINE=f"piecewise {words}"):
        # Of Hydra's plugins this one prints each candidate on a line of its own.
        found = _printed(lambda: _plugins(loader)["fish"].query("config")).splitlines()
    chosen = [group for group in groups(conf) if "/" not in group and group.startswith(word)]
    # Hydra offers `experiment`, `experiment/` and `experiment/chapter=` for a group with sub-folders.
    kept = {name for name in found if name.strip("/") not in chosen and not name.startswith(EXPERIMENTS)}
    return sorted({f"{group}=" for group in chosen} | kept)


def _plugins(loader: ConfigLoader) -> dict[str, CompletionPlugin]:
    found = [cls for cls in Plugins.instance().discover(CompletionPlugin) if issubclass(cls, CompletionPlugin)]
    return {plugin.provides(): plugin(loader) for plugin in found}


def _printed(function: Callable[[], None]) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        function()
    return printed.getvalue()
