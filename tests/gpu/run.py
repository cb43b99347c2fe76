"""`make gpu`: run every check and write its table. Needs PyTorch, Lightning and the job files; no Hydra, no MLflow."""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import platform
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytorch_lightning
import torch

from gpu.checks import Case, all_checks
from piecewise import process_settings, terminal
from piecewise.source import PACKAGE, digest_code

FOLDER = Path(".gpu")  # what gpu.prepare has written
MNIST = Path("data", "mnist")
MARKER = "<!-- made by `make gpu` -->\n"
MAX_SECONDS = 8 * 60


def unpack_mnist() -> None:
    """Unpack what travelled, unless the files are there."""
    for path in (FOLDER / "mnist").glob("*.gz"):
        target = MNIST / path.stem
        if not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(gzip.decompress(path.read_bytes()))


def machine(device: str) -> dict[str, str]:
    """What the table was measured on."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    name = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {platform.machine()}"
    return {
        "device": name,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": commit.stdout.strip() or "no checkout",
        "source": digest_code(PACKAGE.rglob("*.py"))[:12],
        "Python": platform.python_version(),
        "PyTorch": torch.__version__,
        "CUDA": torch.version.cuda or "none",
        "pytorch-lightning": pytorch_lightning.__version__,
    }


def table(rows: Iterable[Iterable[str]]) -> str:
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|" + "---|" * (head.count("|") - 1), *body])


def rows(cases: list[Case]) -> Iterator[tuple[str, ...]]:
    """A row for each comparison; the models that were compared with one optimizer and precision share one."""
    shared: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for case in cases:
        _, _, rest = case.name.partition("-")
        shared[case.check, rest if case.check == "steps" else case.name].append(case)
    for (check, name), members in shared.items():
        worst = max(members, key=lambda case: (not case.is_met, case.value))
        num_met = sum(case.is_met for case in members)
        of = f", worst of {len(members)}: {worst.name}" if len(members) > 1 else ""
        yield check, name, f"{worst.found}{of}", worst.allowed, f"{num_met} of {len(members)}"


def report(cases: list[Case], facts: dict[str, str], seconds: float) -> str:
    """The machine, and what each check found."""
    num_met = sum(case.is_met for case in cases)
    head = ("check", "case", "found", "allowed", "met")
    parts = [
        f"{num_met} of {len(cases)} comparisons were met, in {seconds:.0f} s.",
        table([("run on", ""), *facts.items()]),
        table([head, *rows(cases)]),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> int:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    arguments.add_argument("--output", type=Path, required=True, help="the page to write the table into")
    asked = arguments.parse_args()
    if asked.device == "cuda" and not torch.cuda.is_available():
        terminal.fail("make gpu: PyTorch sees no GPU here; make gpu DEVICE=cpu tries the checks without one")
        return 2
    process_settings.enter()
    torch.set_num_threads(1)  # as in the processes that are compared with this one
    if importlib.util.find_spec("hydra") is not None:
        subprocess.run([sys.executable, "-m", "gpu.prepare"], check=True)
    unpack_mnist()
    began, cases = time.monotonic(), []
    with tempfile.TemporaryDirectory() as place:
        for case in all_checks(FOLDER / "jobs", asked.device, Path(place), began + MAX_SECONDS):
            cases.append(case)
            print(f"{'met    ' if case.is_met else 'NOT met'}  {case.check}  {case.name}: {case.found}", flush=True)
    write_page(asked.output, report(cases, machine(asked.device), time.monotonic() - began))
    return int(not all(case.is_met for case in cases))


def write_page(path: Path, content: str) -> None:
    """Replace what follows the marker; a new page has nothing before it."""
    before = path.read_text("utf-8").partition(MARKER)[0] if path.is_file() else ""
    path.write_text(f"{before}{MARKER}\n{content}", "utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
