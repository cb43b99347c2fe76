"""How fast MNIST trains, as ratios to common alternatives: python tests/benchmarks/mnist.py.

Needs data/mnist (`dvc repro fetch`). Each ratio is the median over pairs of measurements. Every measurement runs in a
new process, so that neither side profits from the other's warm caches.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

EPOCHS = 4  # the last one is timed
OVERRIDES = [
    "experiment=mnist_mlp",
    f"trainer.max_epochs={EPOCHS}",
    "trainer.accelerator=cpu",
    "scheduler=none",
    "model.width=[64,128,64]",
]


def job() -> Any:
    from piecewise.planning.plan import plan_command_line

    return plan_command_line(Path("conf"), OVERRIDES)[0]


def plain_loop() -> float:
    """Seconds of an epoch of a plain PyTorch loop over tensors in memory."""
    import torch
    from torch.nn.functional import cross_entropy

    from piecewise.jobs import build

    config = job().config
    parts = build.build_parts(config)
    train, _ = parts.examples
    optimizer = build.make_optimizer(config)(parts.model.parameters())
    for _ in range(EPOCHS):
        start = time.perf_counter()
        for rows in torch.randperm(len(train)).split(config.batch_size):
            loss = cross_entropy(parts.model(train.x[rows]), train.y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return time.perf_counter() - start


def _timed(module_fit: Callable[[Any], None]) -> float:
    """Seconds from the start of the last epoch to its last step."""
    import pytorch_lightning as pl

    class Clock(pl.Callback):
        def on_train_epoch_start(self, *_: object) -> None:
            self.start = time.perf_counter()

        def on_train_batch_end(self, *_: object) -> None:
            self.seconds = time.perf_counter() - self.start

    clock = Clock()
    module_fit(clock)
    return clock.seconds


def piecewise() -> float:
    """Seconds of an epoch of `piecewise train`, with journal and mirror."""
    from piecewise.execution import fit as training
    from piecewise.execution.train import train
    from piecewise.journal.run_folder import RunFolder
    from piecewise.tracking.sync.background import BackgroundMirror

    def run(clock: Any) -> None:
        with tempfile.TemporaryDirectory() as folder:
            place = RunFolder.at(Path(folder))
            make = training.make_trainer
            training.make_trainer = lambda config: (
                lambda callbacks, **rest: make(config)(callbacks=[*callbacks, clock], **rest)
            )
            mirror = BackgroundMirror(f"sqlite:///{folder}/store.db", [place])
            train(job(), place)
            mirror.close()

    return _timed(run)


def torchvision_loader() -> float:
    """Seconds of an epoch of the same network with torchvision's data set, a DataLoader and Lightning."""
    import pytorch_lightning as pl
    import torch
    from torch.nn.functional import cross_entropy
    from torch.utils.data import DataLoader, Subset
    from torchvision.datasets import MNIST
    from torchvision.transforms import Compose, Normalize, ToTensor

    from piecewise.jobs import build

    config = job().config

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = build.build_parts(config).model

        def training_step(self, batch: Any, index: int) -> Any:
            loss = cross_entropy(self.model(batch[0]), batch[1])
            self.log("train/loss", loss)
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=config.optimizer.options["lr"])

    def run(clock: Any) -> None:
        with tempfile.TemporaryDirectory() as folder:
            raw = Path(folder) / "MNIST" / "raw"
            raw.mkdir(parents=True)
            for path in Path("data/mnist").resolve().iterdir():
                (raw / path.name).symlink_to(path)
            data = Subset(
                MNIST(folder, transform=Compose([ToTensor(), Normalize((0.1307,), (0.3081,))])), range(57_000)
            )
            loader = DataLoader(data, batch_size=config.batch_size, shuffle=True)
            quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
            pl.Trainer(max_epochs=2, accelerator="cpu", callbacks=[clock], enable_checkpointing=False, **quiet).fit(
                Module(), loader
            )

    return _timed(run)


def first_step() -> float:
    """Seconds from the start of the process `piecewise train` to its first optimizer step."""
    code = (
        "import os, time, sys; from piecewise.training import module\n"
        "step = module.TrainingModule.training_step\n"
        "def first(self, *a):\n"
        "    print(time.time(), flush=True); os._exit(0)\n"
        "module.TrainingModule.on_train_batch_end = first\n"
        "from piecewise.cli import main; main(sys.argv[1:])\n"
    )
    start = time.time()
    command = [sys.executable, "-c", code, "train", *OVERRIDES]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) - start


def import_lightning() -> float:
    start = time.time()
    subprocess.run([sys.executable, "-c", "import pytorch_lightning"], check=True)
    return time.time() - start


def in_new_process(name: str) -> float:
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import mnist; print(mnist.{name}())"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def compare(label: str, ours: str, theirs: str, pairs: int = 3) -> None:
    measured = [(in_new_process(ours), in_new_process(theirs)) for _ in range(pairs)]
    ratio = statistics.median(a / b for a, b in measured)
    a, b = (statistics.median(side) for side in zip(*measured, strict=True))
    print(f"{label}: {ours} {a:.2f} s, {theirs} {b:.2f} s, ratio {ratio:.2f}", flush=True)


if __name__ == "__main__":
    compare("P1 epoch of the MLP", "piecewise", "plain_loop")
    compare("P2 epoch of the MLP", "piecewise", "torchvision_loader")
    compare("P11 prompt to first step", "first_step", "import_lightning")
