"""Output for people: lines, tables, and colour on terminals only."""

import contextlib
import os
import re
import sys
import traceback
from collections.abc import Sequence
from typing import TextIO

from piecewise.errors import FULL, PiecewiseError
from piecewise.process_settings import QUIET

COLOUR = re.compile(r"\x1b\[\d*m")
CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
DEBUG = "PIECEWISE_DEBUG"


def say(*parts: object) -> None:
    """Print a line on stdout, unless the user asked for quiet."""
    if not is_quiet():
        show(*parts)


def show(*parts: object, end: str = "\n") -> None:
    """Print a result on stdout. Work continues if the reader of the output is gone."""
    try:
        print(*parts, end=end, flush=True)
    except OSError:  # such as `tee` after Ctrl-C; send Python's buffered output nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def warn(message: str) -> None:
    _print_error(f"{paint('warning:', 'yellow', sys.stderr)} {message}")


def fail(message: str) -> None:
    _print_error(f"{paint('error:', 'red', sys.stderr)} {message}")


def _print_error(line: str) -> None:
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def explain(error: BaseException) -> str:
    """An error as one line for the user. With PIECEWISE_DEBUG set, its traceback goes to stderr."""
    if os.environ.get(DEBUG):
        traceback.print_exception(error)
    if isinstance(error, (PiecewiseError, SystemExit)):
        return str(error)
    if isinstance(error, OSError):
        remedy = "; piecewise clean says what can go" if error.errno in FULL else ""
        return f"{error.filename or 'the system'}: {error.strerror or error}{remedy}"
    what = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    return what if isinstance(error, MemoryError) else f"{what} (a bug in piecewise: {DEBUG}=1 shows where)"


def is_quiet() -> bool:
    return bool(os.environ.get(QUIET))


def paint(text: str, colour: str, stream: TextIO | None = None) -> str:
    """`text` in a colour of CODES, if `stream` (default stdout) is a terminal with colours and NO_COLOR is not set."""
    stream = sys.stdout if stream is None else stream
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    return f"\x1b[{CODES[colour]}m{text}\x1b[0m"


def table(rows: Sequence[Sequence[str]], indent: str = "") -> str:
    """The rows as lines with aligned columns, never cut or wrapped; cells may be painted."""
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    lines = [[cell + " " * (wide - width(cell)) for cell, wide in zip(row, widths, strict=True)] for row in rows]
    return "\n".join((indent + "  ".join(line)).rstrip() for line in lines)


def width(text: str) -> int:
    """The number of characters that a terminal shows of painted text."""
    return len(COLOUR.sub("", text))


def duration(seconds: float) -> str:
    """Seconds in words: 12 s, 3 min, 2 h 5 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(num_bytes: float) -> str:
    """Bytes in words: 512 B, 3.1 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if num_bytes < 1000 or unit == "GB":
            break
        num_bytes /= 1000
    return f"{num_bytes:.0f} {unit}" if unit == "B" else f"{num_bytes:.1f} {unit}"
