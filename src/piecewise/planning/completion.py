"""Hydra's completion: its scripts for each shell, and its answers about overrides."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

from hydra import initialize, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.plugins.completion_plugin import CompletionPlugin, DefaultCompletionPlugin

from piecewise.errors import BadInput, nearest
from piecewise.planning.plan import register_schema

SCRIPTS = ("install", "uninstall")
# Hydra's script splits the command's path at its spaces.
UNQUOTED, QUOTED = "EXECUTABLE=($(command -v $helper))", 'EXECUTABLE=("$(command -v $helper)")'
ZSH = "autoload -Uz bashcompinit && bashcompinit\n"  # Hydra gives zsh the script of bash, and leaves this to its reader


def script(command: str, shell: str) -> str:
    """What the shell evaluates to complete the word `piecewise`, or no longer to. Needs no project. Raises BadInput."""
    if command not in SCRIPTS:
        raise BadInput(f"-sc {command}={shell}: {nearest(command, SCRIPTS)}")
    printed = io.StringIO()
    argv, sys.argv = sys.argv, ["piecewise"]  # by which Hydra knows what it completes
    try:
        with initialize(config_path=None, version_base=None), contextlib.redirect_stdout(printed):
            plugins = _plugins()
            if shell not in plugins:
                raise BadInput(f"-sc {command}={shell}: {nearest(shell, plugins)}")
            getattr(plugins[shell], command)()
    finally:
        sys.argv = argv
    text = printed.getvalue().replace(UNQUOTED, QUOTED)
    return ZSH + text if (command, shell) == ("install", "zsh") else text


def complete_overrides(conf: Path, words: str) -> list[str]:
    """What the last of `words` may become, the others being overrides and -m; after a space a new one begins."""
    register_schema()
    with initialize_config_dir(str(conf.resolve()), version_base=None):
        loader = GlobalHydra.instance().config_loader()
        return DefaultCompletionPlugin(loader)._query(config_name="config", line=words)


def _plugins() -> dict[str, CompletionPlugin]:
    loader = GlobalHydra.instance().config_loader()
    found = [cls for cls in Plugins.instance().discover(CompletionPlugin) if issubclass(cls, CompletionPlugin)]
    return {plugin.provides(): plugin(loader) for plugin in found}
