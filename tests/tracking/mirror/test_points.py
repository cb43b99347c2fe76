"""Each step of a metric is sent once: the points equal those that `read_journal` counts."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from piecewise.journal.reader import read_journal
from piecewise.journal.writer import Journal
from piecewise.tracking.mirror.points import Points

Leg = tuple[int, int, int]  # first step, last step, interval


def write(journal: Journal, leg: Leg) -> None:
    first, last, every = leg
    for step in range(first, last + 1):
        if step % every == 0:
            journal.metrics(step, {"train/nll": 1 / step} | ({"val/nll": float(step)} if step % 25 == 0 else {}))


def sent(points: Points) -> list[tuple[str, int, float]]:
    found = [(metric.key, metric.step, metric.value) for metrics, _ in points.unsent() for metric in metrics]
    return [point for point in found if not point[0].startswith("system/")]


def expected(path: Path) -> list[tuple[str, int, float]]:
    record = read_journal(path)
    assert record is not None
    return sorted((key, step, value) for key, series in record.history().items() for step, value in series)


@pytest.mark.parametrize(
    "legs",
    [
        [(1, 100, 10), (51, 150, 10)],
        [(1, 100, 10), (51, 150, 1)],  # logs more often than before
        [(1, 100, 1), (51, 150, 7)],
        [(1, 100, 10), (51, 80, 3), (21, 150, 1)],
        [(1, 100, 10), (101, 150, 5)],
        [(1, 100, 10), (10, 9, 1), (51, 150, 1)],  # the second leg recorded nothing
    ],
)
@pytest.mark.parametrize("is_followed", [True, False])
@pytest.mark.parametrize("ahead", [0, 9])
def test_repeated_steps_are_sent_once(tmp_path: Path, legs: list[Leg], is_followed: bool, ahead: int) -> None:
    """System metrics after a resume may begin at a later step than the others."""
    path, found = tmp_path / "journal.jsonl", []
    points = Points(path)
    with Journal(path) as journal:
        journal.start(id="a")
        for number, leg in enumerate(legs):
            if number:
                journal.resume()
            journal.system(leg[0] + ahead, {"system/cpu": 0.5})
            write(journal, leg)
            found += sent(points) if is_followed else []
    found += sent(points)
    assert sorted(found) == expected(path)
    assert sorted(sent(Points(path))) == expected(path)  # another process sends everything again


def test_refused_batch_is_sent_again(tmp_path: Path) -> None:
    path, rng, found = tmp_path / "journal.jsonl", random.Random(0), []
    with Journal(path) as journal:
        journal.start(id="a")
        write(journal, (1, 3000, 1))
        journal.resume()
        write(journal, (2000, 5000, 2))
    points, tries, is_done = Points(path), 0, False
    while not is_done:
        tries += 1
        for metrics, _ in points.unsent():
            if rng.random() < 0.5:
                break
            assert len(metrics) <= 1000
            found.extend((metric.key, metric.step, metric.value) for metric in metrics)
        else:
            is_done = True
    assert tries > 1
    assert sorted(found) == expected(path)


def test_new_run_in_the_same_journal_forgets_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.start(id="a")
        write(journal, (1, 50, 1))
        journal.resume()
        journal.start(id="b")
        write(journal, (1, 20, 1))
    assert sorted(sent(Points(path))) == expected(path)
