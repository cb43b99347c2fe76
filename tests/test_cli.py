"""The command line: exit codes, error messages, output and speed."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from piecewise.cli import guarded, main
from piecewise.errors import BadInput, NonFiniteLoss, TryAgain
from piecewise.manifest import manifest_faults
from piecewise.project import Project
from piecewise.stopping import Stopped


def test_help_and_list_import_no_heavy_package() -> None:
    code = (
        "import sys; from piecewise.cli import main; main([]); main(['list']); "
        "print({'hydra', 'torch', 'mlflow', 'matplotlib', 'pytorch_lightning'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "piecewise train -m experiment=shallow_regression" in done.stdout
    assert "mnist_cnn" in done.stdout
    assert done.stdout.endswith("set()\n")


def test_a_sweep_starts_its_fork_server_before_it_imports_what_takes_seconds() -> None:
    code = (
        "import sys; from multiprocessing import forkserver; from piecewise.cli import main\n"
        "def started(): print({'hydra', 'torch', 'matplotlib', 'pytorch_lightning'} & set(sys.modules)); sys.exit()\n"
        "forkserver.ensure_running = started; main(['train', '-m', 'seed=0,1'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "set()\n"


def test_a_command_that_ends_early_leaves_no_fork_server() -> None:
    command = [sys.executable, "-m", "piecewise", "train", "-m", "seed=0,1"]
    stopped = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    while not _is_importing(stopped.pid):
        time.sleep(0.05)
    stopped.terminate()
    assert stopped.wait(60) == 143
    time.sleep(2)  # importing takes three times as long
    assert not _is_importing(stopped.pid)


def _is_importing(session: int) -> bool:
    """Whether a fork server is among the processes of a session."""
    for process in psutil.process_iter(["pid", "cmdline"]):
        if "multiprocessing.forkserver" in " ".join(process.info["cmdline"] or ()):
            with contextlib.suppress(ProcessLookupError):
                if os.getsid(process.pid) == session:
                    return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (1.8, ""),
        (1.8, "list"),
        (1.8, "list model"),
        (3.6, "train --cfg job"),
        (3.6, "train --help"),
        (3.6, "train --hydra-help"),
        (3.6, "-sc query=bash"),
    ],
)
def test_frequent_commands_are_quick(limit: float, words: str) -> None:
    """The limit is a multiple of the CPU time to import Hydra, 0.17 s on a usual machine; each is the least of five."""
    hydra = [sys.executable, "-c", "import hydra.utils, hydra._internal.hydra"]
    command = [str(Path(sys.executable).with_name("piecewise")), *words.split()]
    taken = [(_cpu_seconds(hydra), _cpu_seconds(command)) for _ in range(5)]
    least, ours = (min(times) for times in zip(*taken, strict=True))
    assert ours < limit * least, f"{ours:.2f} s, and importing Hydra takes {least:.2f} s"


def _cpu_seconds(command: list[str]) -> float:
    environment = os.environ | {"COMP_LINE": "piecewise train model.", "COMP_POINT": "22"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environment, capture_output=True, check=True, timeout=60)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize("command", ["piecewise", "piecewise list", "piecewise train model=nope"])
@pytest.mark.parametrize("where", [">&-", "2>&-", ">&- 2>&-", "| true"])
def test_closed_output_causes_no_traceback(command: str, where: str) -> None:
    """The exit code is still that of piecewise."""
    line = f"{shlex.quote(sys.executable)} -m {command} {where}" + "; exit ${PIPESTATUS[0]}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in ((2,) if "nope" in command else (0, 141))
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("words", ["seed=0", "-m seed=0,1 executor=pool"])
@pytest.mark.parametrize("where", ["| head -0", "2>&-", "<&- >&- 2>&-"])
def test_a_run_finishes_although_nobody_can_read_what_it_prints(project: Project, words: str, where: str) -> None:
    train = f"{shlex.quote(sys.executable)} -m piecewise train {words} trainer=smoke tracking=none"
    line = f"{train} {where}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    (manifest,) = project.root.glob("runs/2*/manifest.json")
    assert manifest_faults(manifest.parent) == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "did you mean 'train'"),
        (["train", "model=shalow"], "shalow"),
        (["train", "model.wdth=3"], "model.wdth"),
        (["train", "data=mnist", "model=mlp"], "allowed: categorical"),
        (["train", "model.width=-1"], "model.width=-1"),
    ],
)
def test_bad_input_gives_exit_code_2_and_one_line_and_starts_nothing(
    project: Project, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert output.err.startswith("error: ")
    assert message in output.err
    assert "Traceback" not in output.err
    assert output.out == ""
    assert {path.name for path in project.root.iterdir()} <= {"conf", "pipelines", "requirements.lock", "runs"}
    assert not list(project.root.glob("runs/*/journal.jsonl"))


def test_outside_a_project_the_checkout_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (Project.find().conf / "config.yaml").is_file()


def test_train_prints_metrics_and_folders(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "-m", "model.width=4,8", "trainer=smoke", "tracking=none", "executor=inline"]
    assert main(arguments) == 0
    output = capsys.readouterr().out
    (place,) = (project / "runs").glob("2*")
    assert output.count("test/squared_error") == 3  # of each job, and of the best one again
    assert f"runs/{place.name}" in output
    assert not list(place.glob("0*/figures/*"))  # of each job on demand
    assert [path.name for path in place.glob("figures/*")] == ["metric_over_axis.svg"]
    assert (place / "results.csv").is_file()
    assert (place / "journal.jsonl").is_file()


def test_a_failed_job_does_not_stop_the_others_and_is_recorded_as_failed(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "-m", "optimizer=sgd", "optimizer.lr=1e30,0.1", "trainer.max_epochs=3", "tracking=none"]
    arguments.append("executor=inline")
    assert main(arguments) == 1
    output = capsys.readouterr()
    assert "optimizer.lr=1e+30" in output.err
    assert "the loss is inf at step 2" in output.err
    assert "optimizer.lr=0.1" in output.out
    (parent,) = (project / "runs").glob("*/journal.jsonl")
    assert '"status":"FAILED"' in parent.read_text()


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (BadInput("a=1 is wrong"), 2, "error: a=1 is wrong\n"),
        (NonFiniteLoss("the loss is nan"), 3, "error: the loss is nan\n"),
        (TryAgain("a rank was lost"), 75, "error: a rank was lost\n"),
        (Stopped(signal.SIGINT), 130, "error: stopped by SIGINT\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "runs/x"),
            1,
            "error: runs/x: No space left on device; piecewise clean says what can go\n",
        ),
        (KeyError("k"), 1, "error: KeyError: 'k' (a bug in piecewise: PIECEWISE_DEBUG=1 shows where)\n"),
    ],
)
def test_each_error_gives_one_line_and_its_exit_code(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, message: str
) -> None:
    def fail() -> int:
        raise error

    assert guarded(fail) == code
    assert capsys.readouterr() == ("", message)


def test_a_broken_pipe_gives_exit_code_141() -> None:
    code = "from piecewise.cli import guarded; import sys; sys.exit(guarded(lambda: print('x' * 10**6) or 0))"
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.close()
    assert writer.stderr is not None
    assert writer.stderr.read() == b""
    writer.stderr.close()
    assert writer.wait(60) == 141


def test_a_full_disk_fails_the_run_and_names_the_file(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "model.safetensors")

    monkeypatch.setattr("piecewise.execution.fit.write_atomic", refuse)
    assert main(["train", "trainer=smoke", "tracking=none"]) == 1
    assert "model.safetensors: No space left on device" in capsys.readouterr().err
    (journal,) = project.root.glob("runs/*/journal.jsonl")
    assert '"status":"FAILED"' in journal.read_text()
    assert not list(journal.parent.glob("training/result.json"))
