"""Small projects for tests: the shipped configurations, and a pipeline that runs in seconds."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from piecewise.project import Project

ROOT = Path(__file__).parents[1]
EXPERIMENTS = ("least_squares", "shallow_regression", "mnist_cnn")
# Arguments of `piecewise train` for two epochs with four steps each.
TINY = ["trainer.max_epochs=2", "data.num_train=40", "data.num_test=20", "batch_size=10", "tracking=none"]
# The `about` block of an experiment: its first expectation is met, its second is not.
ABOUT = {
    "question": "Does <it> fit?",
    "source": "UDL 3.1",
    "command": "piecewise train experiment=fit",
    "expected": [
        {"metric": "test/squared_error", "at_most": 100, "when": {"model.width": 3}},
        {"metric": "test/squared_error", "at_most": 0, "when": {"model.width": 20}},
    ],
}
AUTHOR = ("-c", "user.name=t", "-c", "user.email=t@example.org")


def new_project(root: Path) -> Path:
    """Make a project with the shipped configurations and no results."""
    for name, content in _shipped_files().items():
        if not (folder := (root / name).parent).is_dir():
            folder.mkdir(parents=True)
        (root / name).write_bytes(content)
    return root


def has_shipped_conf(conf: Path) -> bool:
    """Whether a folder has the shipped configurations and no others."""
    found = {f"conf/{path.relative_to(conf)}": path.read_bytes() for path in conf.rglob("*") if path.is_file()}
    return found == {name: content for name, content in _shipped_files().items() if name.startswith("conf/")}


@cache  # most tests have a project of their own
def _shipped_files() -> dict[str, bytes]:
    paths = [path for name in ("conf", "pipelines") for path in sorted((ROOT / name).rglob("*")) if path.is_file()]
    return {str(path.relative_to(ROOT)): path.read_bytes() for path in (*paths, ROOT / "requirements.lock")}


def add_search_path(root: Path | Project, *folders: object) -> None:
    """Add folders with more configurations to the `hydra.searchpath` of a project's conf/config.yaml."""
    path = Path(root) / "conf" / "config.yaml"
    path.write_text(re.sub(r"(?m)^hydra:\n", f"hydra:\n  searchpath: {json.dumps(folders)}\n", path.read_text()))


class Pipeline:
    """Runs commands in the project at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = os.environ | {"PYTHONPATH": str(root / "src"), "PATH": path}

    def run(self, *command: str, status: int = 0) -> str:
        done = subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True, check=False, timeout=600
        )
        assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def repro(self, *arguments: str, status: int = 0) -> set[str]:
        """Run `dvc repro`. Returns the stages that ran."""
        return set(re.findall(r"Running stage '(.+)'", self.run("dvc", "repro", *arguments, status=status)))

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.root / name
        text = path.read_text()
        assert old in text, f"{name} has no {old!r}"
        path.write_text(text.replace(old, new, 1))


def make_small(root: Path) -> None:
    """Cut every experiment to two epochs and two seeds, and MNIST to a few random images."""
    for path in (root / "conf" / "experiment").glob("*.yaml"):
        text = re.sub(r"max_epochs: \d+", "max_epochs: 2", path.read_text())
        path.write_text(re.sub(r"seed: \"0,1,2\"", 'seed: "0,1"', text))
    _make_small_mnist(root)


def _make_small_mnist(root: Path) -> None:
    """Write random IDX files, and change the project so that it fetches MNIST from them and expects their digests."""
    import hashlib
    import struct

    import numpy as np

    source = root / "src" / "piecewise" / "data" / "idx.py"
    text = source.read_text().replace("60_000, 10_000", "512, 128")
    rng = np.random.default_rng(0)
    folder = root.parent / "mirror"
    folder.mkdir()
    for part, count in (("train", 512), ("t10k", 128)):
        images = struct.pack(">4I", 0x803, count, 28, 28) + rng.integers(0, 256, count * 784, dtype=np.uint8).tobytes()
        labels = struct.pack(">2I", 0x801, count) + rng.integers(0, 10, count, dtype=np.uint8).tobytes()
        for name, data in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            (folder / name).write_bytes(data)
            text = re.sub(rf'("{name}": ")[0-9a-f]{{64}}', rf"\g<1>{hashlib.sha256(data).hexdigest()}", text)
    source.write_text(text)
    (root / "conf" / "fetch.yaml").write_text(f"mnist: {{sources: [folder], folder: '{folder}'}}\n")


def write_images(folder: Path, num_train: int = 60, num_test: int = 20, size: int = 16) -> None:
    """Four IDX files of noise in which the brighter half is the class."""
    import struct

    import torch

    generator = torch.Generator().manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", num_train), ("t10k", num_test)):
        labels = torch.arange(count) % 2
        images = torch.randint(0, 128, (count, size, size), generator=generator)
        images[torch.arange(count), :, :] += 100 * (torch.arange(size) // (size // 2) == labels[:, None])[:, None, :]
        head = struct.pack(">4I", 0x803, count, size, size), struct.pack(">2I", 0x801, count)
        for name, start, content in (("images-idx3", head[0], images), ("labels-idx1", head[1], labels)):
            (folder / f"{part}-{name}-ubyte").write_bytes(start + content.to(torch.uint8).numpy().tobytes())


def evaluate_experiment(project: Project, jobs: list[Any]) -> None:
    """Train and evaluate jobs as the stages of an experiment `fit` would, and write build/about.json."""
    from piecewise.analysis.evaluate import evaluate_run
    from piecewise.durable import write_json
    from piecewise.execution.train import train
    from piecewise.jobs.job import Job
    from piecewise.jobs.overrides import key_of, shell_command
    from piecewise.journal.run_folder import RunFolder

    for found in jobs:
        chosen = [item for item in found.overrides if key_of(item) in ("model.width", "seed")]
        job = Job("fit", tuple(sorted(chosen)), found.frozen)
        folder = RunFolder.of_stage("fit", job.folder_name)
        command = shell_command([*job.overrides, "data.folder='<a>'"])
        tags = {"git.commit": "abcdef0123456789", "git.dirty": "true", "command": command}
        train(job, folder, {"id": job.label or "only", "tags": tags})
        evaluate_run(folder)
    write_json(project / "build" / "about.json", {"fit": ABOUT, "never_run": ABOUT})
