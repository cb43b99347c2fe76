"""Reading a table of numbers with a header line."""

import csv
import warnings
from pathlib import Path

import numpy as np

from piecewise.errors import BadInput

MAX_FLOAT32 = float(np.finfo(np.float32).max)


def read_header(path: Path) -> list[str]:
    """The names of the columns. Raises BadInput for a file that is missing or not text, and for a repeated name."""
    if not path.is_file():
        raise BadInput(f"{path.absolute()} {'is not a file' if path.exists() else 'does not exist'}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = next(csv.reader(file), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path} is not a UTF-8 text with a header line: {error}") from error
    if not header:
        raise BadInput(f"{path} is empty; wanted a header line and rows of numbers")
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise BadInput(f"{path} has more than one column {twice!r}")
    return header


def read_table(path: Path, min_rows: int = 1) -> np.ndarray:
    """The numbers below the header, float64 (N, columns). Raises BadInput for anything but finite numbers."""
    header = read_header(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # on an empty table, which is refused below
            table = np.loadtxt(
                path, delimiter=",", skiprows=1, ndmin=2, encoding="utf-8-sig", quotechar='"', comments=None
            )
    except ValueError as error:
        raise BadInput(f"{path} must hold numbers only, {len(header)} in each row: {error}") from error
    if len(table) < min_rows or table.shape[1] != len(header):
        raise BadInput(f"{path} has {table.shape} numbers; wanted at least {min_rows} rows of {len(header)}")
    wrong = np.argwhere(~(np.abs(table) <= MAX_FLOAT32))  # NaN and infinity too
    if len(wrong):
        row, column = wrong[0]
        raise BadInput(
            f"{path}, row {row + 2}, column {header[column]!r}: {table[row, column]} is not finite in float32"
        )
    return table
