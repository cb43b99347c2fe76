"""The file of a ledger: a long one is read fast, a torn line is survived, a damaged one is refused by name."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from piecewise.errors import BadInput
from piecewise.execution.executors.contract import FAILED, FINISHED, Outcome
from piecewise.execution.ledger import LEDGER, Ledger, Planned, Record, begun, read_head
from piecewise.processes import this_process
from time_limits import assert_within

HEAD = {"id": "s", "name": "fit", "key": "k", "results": "r", "command": "piecewise train"}
METRICS = {"test/nll": 1.0, "test/squared_error": 0.5, "test/nll_floor": 0.25}


def write(path: Path, count: int) -> None:
    """A ledger of jobs that have all finished."""
    process = this_process()
    with begun(path, HEAD, [Planned(number, f"fit seed={number}", f"id{number}", "key") for number in range(count)]):
        pass
    with Ledger(path) as ledger:
        for number in range(count):
            ledger.started(number, f"{number:04d}.json", 1, process)
            ledger.ended(number, Outcome(FINISHED, METRICS, 1.5))


def test_a_ledger_of_10_000_jobs_opens_in_a_second(tmp_path: Path) -> None:
    """CPU time, and the best of three, as tests run beside others."""
    path, seconds = tmp_path / LEDGER, []
    write(path, 10_000)
    for _ in range(3):
        began = time.process_time()
        record = Record.read(path)
        with Ledger(path):
            pass
        seconds.append(time.process_time() - began)
    assert sum(entry.state == FINISHED for entry in record.entries) == 10_000
    assert_within(1.0, min(seconds))


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_torn_last_line_is_survived(tmp_path: Path, cut: int) -> None:
    """The last job counts as started. The next writer cuts the torn line off."""
    path = tmp_path / LEDGER
    write(path, 2)
    path.write_bytes(path.read_bytes()[:-cut])
    assert [entry.state for entry in Record.read(path).entries] == [FINISHED, None]
    with Ledger(path) as ledger:
        ledger.ended(1, Outcome(FAILED, message="late"))
    assert [entry.state for entry in Record.read(path).entries] == [FINISHED, FAILED]


@pytest.mark.parametrize("line", [1, 2, 4])
def test_a_damaged_line_is_refused_by_name(tmp_path: Path, line: int) -> None:
    path = tmp_path / LEDGER
    write(path, 2)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line - 1] = lines[line - 1].replace(b":", b";", 1)
    path.write_bytes(b"".join(lines))
    with pytest.raises(BadInput, match=rf"{re.escape(str(path))}, line {line}: the checksum does not fit the record"):
        Record.read(path)


def test_a_ledger_without_its_first_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / LEDGER
    write(path, 1)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
    with pytest.raises(BadInput, match="has a record of kind 'planned' before the sweep's own"):
        Record.read(path)


def test_the_first_line_is_read_alone(tmp_path: Path) -> None:
    path = tmp_path / LEDGER
    assert read_head(path) is None
    write(path, 1)
    path.write_bytes(path.read_bytes().replace(b'"ended"', b'"enden"'))  # damaged
    head = read_head(path)
    assert head is not None
    assert head["key"] == "k"
