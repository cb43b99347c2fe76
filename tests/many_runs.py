"""Finished runs by the thousand, made without training: the journal of each is a copy with another id."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

from piecewise.processes import this_process

# What a run of ten validations records; its process is gone.
METRICS = [{"kind": "metrics", "step": 10 * n, "values": {"train/nll": 1 / (n + 1), "val/nll": 1.5}} for n in range(10)]
PARTS = ("training", "evaluation", "figures", "checkpoints")


def make_runs(runs: Path, count: int, sweeps_of: int = 0, prefix: str = "") -> list[Path]:
    """Make `count` finished runs below `runs`, in sweeps of `sweeps_of` jobs if that is not 0. Returns the journals."""
    made = []
    for number in range(count):
        sweep, job = divmod(number, sweeps_of) if sweeps_of else (number, 0)
        root = runs / f"{prefix}20260101-{sweep:06d}-{'aaaaaa' if sweeps_of else 'bbbbbb'}-fit"
        folder = root / f"{job:04d}" if sweeps_of else root
        if sweeps_of and job == 0:
            made.append(write_journal(root, f"{prefix}sweep-{sweep:06d}", float(number), num_jobs=sweeps_of))
        run_id = f"{prefix}{'job' if sweeps_of else 'solo'}-{number:06d}"
        facts = {"run_key": f"key of {run_id}"} | ({"parent": f"{prefix}sweep-{sweep:06d}"} if sweeps_of else {})
        made.append(write_journal(folder, run_id, float(number), **facts))
        for part in PARTS:
            (folder / part).mkdir()
    return made


def write_journal(folder: Path, run_id: str, time: float, is_over: bool = True, **facts: object) -> Path:
    process = this_process().as_dict() | {"started": 1}
    start = {"kind": "start", "id": run_id, "name": "fit", "title": f"fit {run_id}", "process": process, **facts}
    config = {"config": {f"option_{number}": number for number in range(80)}}
    end = {"kind": "end", "status": "FINISHED", "val_nll": 1.5, "run_key": facts.get("run_key", "")}
    records = [start | config, *METRICS, *([end] if is_over else [])]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "journal.jsonl"
    with path.open("wb") as file:
        for record in records:
            text = json.dumps({**record, "time": time}).encode()
            file.write(b"%08x %s\n" % (zlib.crc32(text), text))
    return path
