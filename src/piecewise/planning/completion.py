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
from piecewise.planning.plan import composing

SCRIPTS = ("install", "uninstall")
# Hydra's script for bash splits the command's path at its spaces.
UNQUOTED, QUOTED = "EXECUTABLE=($(command -v $helper))", 'EXECUTABLE=("$(command -v $helper)")'
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
    with composing(conf) as loader, process_settings.environment(COMP_LINE=f"piecewise {words}"):
        # Of Hydra's plugins this one prints each candidate on a line of its own.
        return _printed(lambda: _plugins(loader)["fish"].query("config")).splitlines()


def _plugins(loader: ConfigLoader) -> dict[str, CompletionPlugin]:
    found = [cls for cls in Plugins.instance().discover(CompletionPlugin) if issubclass(cls, CompletionPlugin)]
    return {plugin.provides(): plugin(loader) for plugin in found}


def _printed(function: Callable[[], None]) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        function()
    return printed.getvalue()
