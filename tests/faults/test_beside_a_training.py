"""No command takes anything from a training that runs: the training ends as if it had been alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from piecewise.journal.reader import read_journal
from piecewise.journal.run_folder import RunFolder
from piecewise.locks import has_writer
from piecewise.project import Project
from running_server import wait_for
from shipped import copy_shipped, wait_for_processes_to_end
from small_project import TINY, Pipeline
from started import started
from trials import Trials

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
PIECEWISE = [sys.executable, "-m", "piecewise"]
SWEEP = ["train", "-m", *TINY[:-1], "trainer.max_epochs=30", "log_model=none", "seed=0,1,2"]
STAGE = "train@shallow_regression"


def digests(folder: Path) -> dict[str, str]:
    """The weights of every trained run below the folder."""
    paths = sorted(folder.rglob("result.json"))
    return {str(path.relative_to(folder)): json.loads(path.read_text())["weights_digest"] for path in paths}


def sweeps(project: Project) -> set[Path]:
    return {path.parent for path in project.runs.glob("*/jobs.json")}


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and path.suffix != ".tmp"}


def journals_in(live: Path) -> set[Path]:
    return set(live.glob("*/journal.jsonl"))


def run(root: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False, timeout=300)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def check_command(rng: Random, root: Path, sweep: Path, pid: int) -> str:
    """Run a random command beside the stopped training of a sweep. Returns what was run."""
    is_over, writer = (sweep / "manifest.json").is_file(), f"in process {pid} ("
    name = rng.choice(["clean", "rebuild", "restore", "resume", "resume a job", "evaluate", "report", "list"])
    first = RunFolder.at(sweep / "0000")
    words = {
        "rebuild": ["sync", "--rebuild"],
        "restore": ["sync", "--restore"],
        "clean": ["clean", "--yes"],
        "resume": ["resume", sweep.name],
        "resume a job": ["resume", f"{sweep.name}/0000"],
        "evaluate": ["evaluate", f"{sweep.name}/0000"],
    }.get(name, [name])
    was_trained = first.result.is_file()
    code, said = run(root, *PIECEWISE, *words)
    if name in ("clean", "restore", "list"):
        assert code == 0, said
    elif name == "rebuild":
        # The store is open in the process that mirrors, unless that has not begun to send.
        assert code == 0 or (code == 75 and "mlflow.db is open in process" in said), said
    elif name.startswith("resume"):
        assert (code, writer in said) == ((0, False) if is_over else (75, True)), said
    elif name == "evaluate":
        assert code == 0 if was_trained and first.metrics.is_file() else (code in (1, 75)), said
    return name


def test_commands_beside_a_sweep(project: Project, trials: Trials) -> None:
    """The sweep is stopped at a random moment, a command runs, and the sweep goes on."""
    began = time.monotonic()
    assert run(project.root, *PIECEWISE, *SWEEP, "tracking=none")[0] == 0
    took, (first,) = time.monotonic() - began, sweeps(project)
    undisturbed = digests(first)
    assert len(undisturbed) == 3
    for rng in trials("any command beside a running sweep: it ends with the same bits, nothing is lost", 24):
        before = sweeps(project)
        with started(*PIECEWISE, *SWEEP, "fresh=1", cwd=project.root) as process:
            wait_for(lambda seen=before: sweeps(project) - seen, "a sweep")  # type: ignore[misc]
            (sweep,) = sweeps(project) - before
            wait_for((sweep / "0000" / "journal.jsonl").is_file, "a first job")
            time.sleep(rng.random() * took)
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGSTOP)
            there = files(sweep)
            name = check_command(rng, project.root, sweep, process.pid)
            gone = {path for path in there - files(sweep) if path.parent.name != "checkpoints"}
            assert gone == set(), name
            process.send_signal(signal.SIGCONT)
            output, errors = process.communicate(timeout=300)
        assert process.returncode == 0, (name, output, errors)
        assert digests(sweep) == undisturbed, name
        for folder in (RunFolder.at(sweep), *(RunFolder.at(path.parent) for path in sweep.glob("*/journal.jsonl"))):
            record = read_journal(folder.journal)
            assert record is not None
            assert record.end is not None, name
            assert record.end.status == "FINISHED", name
        code, said = run(project.root, *PIECEWISE, "sync")
        assert code == 0, (name, said)
        code, said = run(project.root, *PIECEWISE, "verify")
        assert code == 0, (name, said)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """A pipeline whose one experiment has six jobs, and whose data are made."""
    pipeline = copy_shipped(tmp_path_factory.mktemp("beside") / "a project", "shallow_regression")
    pipeline.edit("conf/experiment/shallow_regression.yaml", "max_epochs: 300", "max_epochs: 40")
    pipeline.edit("conf/experiment/shallow_regression.yaml", "batch_size: 60", "batch_size: 60\nlog_model: none")
    pipeline.repro("synthesise@curve_1d")
    return pipeline


def test_commands_beside_a_stage(pipeline: Pipeline, trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finished job of the stage has its only journal in the folder of its checkpoints until the stage ends."""
    root, again = pipeline.root, ("--force", "--single-item", STAGE)
    monkeypatch.setenv("PYTHONPATH", pipeline.environment["PYTHONPATH"])
    monkeypatch.setenv("PATH", pipeline.environment["PATH"])
    pipeline.repro(STAGE)
    results, live = root / "results" / "train", root / "runs" / "pipeline" / "shallow_regression"
    undisturbed = digests(results)
    assert len(undisturbed) == 6
    journals = {path.name for path in root.glob("results/journal/*/*.jsonl")}
    assert len(journals) == 7
    commands = {
        "clean": [*PIECEWISE, "clean", "--yes"],
        "stage": [sys.executable, "pipelines/train.py", "shallow_regression"],
        "repro": ["dvc", "repro", *again],
        "restore": [*PIECEWISE, "sync", "--restore"],
        "rebuild": [*PIECEWISE, "sync", "--rebuild"],
        "evaluate": [*PIECEWISE, "evaluate", "last"],
        "report": [*PIECEWISE, "report"],
    }
    trained = [("clean", 1), *((name, 0) for name in commands)]
    for number, rng in enumerate(trials("any command beside dvc repro: the same bits, no journal lost", 16)):
        name, done = trained[number] if number < len(trained) else (rng.choice([*commands]), rng.randrange(6))
        with started("dvc", "repro", *again, stderr=subprocess.STDOUT, cwd=root, env=pipeline.environment) as process:
            wait_for(lambda: not any(results.rglob("result.json")), "the stage's start")
            # The journals of the stage before lie there until this one begins.
            wait_for(lambda: any(map(has_writer, journals_in(live))), "the stage's journals")
            wait_for(lambda count=done: len([*results.rglob("result.json")]) >= count, name)  # type: ignore[misc]
            time.sleep(rng.random() * 0.5)
            trainer = next(
                int(path.name)
                for path in Path("/proc").glob("[0-9]*")
                if b"pipelines/train.py" in (path / "cmdline").read_bytes().split(b"\0")
                and (path / "cwd").readlink() == root
            )
            os.kill(trainer, signal.SIGSTOP)
            there = journals_in(live)
            code, said = run(root, *commands[name])
            assert there <= journals_in(live), name
            if name in ("clean", "restore"):
                assert code == 0, said
            elif name == "stage":
                assert code == 75, said
                assert f"runs in process {trainer} (" in said
            elif name == "repro":
                assert code != 0
                assert str(process.pid) in said, said
            os.kill(trainer, signal.SIGCONT)
            output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, (name, output)
        wait_for_processes_to_end(root, 15)
        assert digests(results) == undisturbed, name
        found = {path.name: read_journal(path) for path in root.glob("results/journal/*/*.jsonl")}
        assert found.keys() == journals, name
        ends = {record.end.status for record in found.values() if record is not None and record.end is not None}
        assert ends == {"FINISHED"}, name
