"""Bringing runs to MLflow: in the background while they train, and whatever is missing later."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from piecewise import terminal
from piecewise.errors import BadInput
from piecewise.jobs.job import read_job, read_json
from piecewise.jobs.provenance import find_root
from piecewise.journal.folder import RunFolder
from piecewise.tracking.store import EMBEDDED

# That the end of a command waits for its mirror, and the end of one that was told to stop; `sync` brings the rest.
FLUSH_SECONDS = 60
STOP_SECONDS = 5
INTERVAL = 1.0  # seconds between two looks at a live journal


class BackgroundMirror:
    """A process that mirrors the journals of running jobs. Training neither imports MLflow nor waits for it.

    Closing its standard input tells it that the runs are complete; so does the death of whoever started it.
    """

    def __init__(self, uri: str | None, folders: Iterable[RunFolder]) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        if uri is not None:
            command = [
                sys.executable,
                "-m",
                "piecewise.runs.record",
                uri,
                *(folder.as_text() for folder in folders),
            ]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, start_new_session=True)

    def close(self, at_once: bool = False) -> bool:
        """Let it finish; False if it did not manage to in time, or failed."""
        if self._process is None:
            return True
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            return self._process.wait(STOP_SECONDS if at_once else FLUSH_SECONDS) == 0
        except subprocess.TimeoutExpired:
            # Two processes must not bring the same run over: what is left is left to the next one.
            self._process.kill()
            return False


@dataclass(frozen=True)
class Synced:
    """What `sync` did: runs seen, runs that were missing or incomplete and no longer are, and what went wrong."""

    seen: int
    updated: int
    problems: list[str]
    is_busy: bool = False  # somebody was writing to a store for longer than MLflow waits


def sync(default: str | None, folders: Iterable[RunFolder]) -> Synced:
    """Bring every run to the store it was meant for, the pipeline's and untracked ones to `default`.

    A run that cannot be brought over is named and keeps none of the others back.
    """
    by_store: dict[str, list[RunFolder]] = {}
    for folder in folders:
        uri = _meant_for(folder) or default
        if uri is not None:
            by_store.setdefault(uri, []).append(folder)
    done = [_push_all(uri, members) for uri, members in by_store.items()]
    return Synced(
        sum(one.seen for one in done),
        sum(one.updated for one in done),
        [problem for one in done for problem in one.problems],
        any(one.is_busy for one in done),
    )


def _push_all(uri: str, folders: list[RunFolder]) -> Synced:
    from piecewise.tracking.mirror import Mirror
    from piecewise.tracking.store import open_store
    from piecewise.tracking.trouble import explain, is_busy, trouble_of

    root = find_root()
    updated, problems = 0, []
    try:
        mirror = Mirror(open_store(uri, root), root)
        for folder in folders:
            try:
                updated += mirror.push(folder, load_model)
            except Exception as error:
                if trouble_of(error) is not None:  # the others would meet it too, each after as long a wait
                    raise
                problems.append(f"{folder.journal}: {explain(error)}")
    except Exception as error:
        return Synced(len(folders), updated, [*problems, f"{uri}: {explain(error)}"], is_busy(error))
    return Synced(len(folders), updated, problems)


def _meant_for(folder: RunFolder) -> str | None:
    """The store that a run was started with; None if it named none."""
    try:
        tracking = read_job(folder.job).config.get("tracking") or {}
    except BadInput:  # the parent of a sweep has no job: it goes where its first child goes
        children = sorted(folder.training.parent.glob("*/training/job.json"))
        tracking = (read_job(children[0]).config.get("tracking") or {}) if children else {}
    uri = tracking.get("uri")
    return None if uri is None else str(uri)


def all_runs(root: Path) -> list[RunFolder]:
    """Every run below the project's root, parents of sweeps before their children."""
    pipeline = sorted((root / "results" / "journal").glob("*/*.jsonl"), key=lambda path: (path.stem != "sweep", path))
    staged = [RunFolder.of_stage(path.parent.name, path.name.removesuffix(".jsonl")) for path in pipeline]
    live = [
        RunFolder.of_live_stage(path.parent.parent.name, path.parent.name)
        for path in sorted((root / "runs" / "pipeline").glob("*/*/journal.jsonl"))
    ]
    known = {folder.training for folder in staged}  # what has been published is not live any more
    staged += [folder for folder in live if folder.training not in known]
    solo = sorted((root / "runs").glob("*/journal.jsonl"))
    children = sorted((root / "runs").glob("*/*/journal.jsonl"))
    return staged + [RunFolder.at(path.parent) for path in (*solo, *children)]


def tracking_uri(root: Path) -> str | None:
    """Where the pipeline's runs go, as `compose` froze it."""
    path = root / "build" / "tracking.json"
    uri = read_json(path).get("uri") if path.is_file() else EMBEDDED
    return uri if uri is None else str(uri)


def load_model(folder: RunFolder) -> tuple[Any, np.ndarray]:
    """The run's trained model and an example of two inputs to it."""
    import torch

    from piecewise.runs.evaluate import load_parts

    parts = load_parts(read_job(folder.job), folder)
    dtype = next(parts.model.parameters()).dtype
    if dtype is torch.bfloat16:  # which NumPy, and so MLflow's schema, does not have
        dtype = torch.float32
    return parts.model.to(dtype), torch.zeros((2, *parts.spec.input_shape), dtype=dtype).numpy()


def _follow(uri: str, folders: list[RunFolder], parent: IO[str]) -> int:
    """Mirror until the parent closes its end, then once more, completely."""
    from piecewise.tracking.mirror import Mirror
    from piecewise.tracking.store import open_store

    os.nice(19)  # training has the processor first
    root = find_root()
    over = threading.Event()
    threading.Thread(target=_wait_for_end, args=(parent, over), daemon=True).start()
    # MLflow is imported after the first measurement, so that nothing competes with the start of training.
    while not over.wait(INTERVAL) and not any(_has_measured(folder) for folder in folders):
        pass
    mirror, live = None, folders
    while not over.wait(INTERVAL):
        # A store that is busy now is asked again a second later, and for everything at the end.
        with contextlib.suppress(Exception):
            mirror = mirror or Mirror(open_store(uri, root), root)
            live = [folder for folder in live if not mirror.push_live(folder)]
    problems = _push_all(uri, folders).problems
    for problem in problems:
        terminal.warn(f"not in MLflow yet: {problem}")
    return 1 if problems else 0


def _has_measured(folder: RunFolder) -> bool:
    return folder.journal.is_file() and b'"kind":"metrics"' in folder.journal.read_bytes()


def _wait_for_end(parent: IO[str], over: threading.Event) -> None:
    parent.read()
    over.set()


if __name__ == "__main__":
    raise SystemExit(_follow(sys.argv[1], [RunFolder.from_text(text) for text in sys.argv[2:]], sys.stdin))
