"""Files that only their owner can read."""

from __future__ import annotations

import os
from pathlib import Path

from piecewise.durable import put_in_place


def write_private(path: Path, text: str) -> None:
    """Write a whole file or none, with mode 0600 from its first byte on, whatever the umask is."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)  # from a crash; opening it would keep its mode
    with open(temporary, "w", opener=_open_private) as file:
        file.write(text)
    put_in_place(temporary, path)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)
