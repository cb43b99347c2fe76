"""Every stream of random numbers has a seed of its own."""

from __future__ import annotations

import struct
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import piecewise
from piecewise.data.idx import FILES
from piecewise.data.randomness import derive_seed
from piecewise.data.resident import Batch
from piecewise.execution.train import train
from piecewise.jobs.job import Job
from piecewise.journal.run_folder import RunFolder
from piecewise.losses.squared_error import SquaredError
from piecewise.models.dropout import Dropout
from piecewise.project import Project
from piecewise.training.module import TrainingModule
from small_project import TINY

Plan = Callable[..., list[Job]]
PACKAGE = str(Path(piecewise.__file__).parent)
MASKED = ["model=mlp", "model.depth=2", "model.width=6", "model.dropout=0.3"]
READ = ["batch_size=10", "trainer.max_epochs=2", "tracking=none"]
JOBS = {
    "masks": [*TINY, *MASKED],
    "another seed": [*TINY, *MASKED, "seed=1", "data.seed=1", "data.split_seed=1"],
    "targets from a distribution": [*TINY, *MASKED, "data=counts", "loss=poisson"],
    "curved classes": [*TINY, "data=moons", "loss=bernoulli", "model=mlp"],
    "a table": ["data=csv", "data.path=table.csv", "data.target=y", "model=mlp", *READ],
    "images": ["data=idx", "data.path=images", "loss=categorical", "data.max_shift=1", *MASKED, *READ],
}
# Where seeds are given to generators; the first set may be made several times, to read and to digest it.
DATA = {"synthetic.py", "curved_classes.py", "csv.py"}
TRAINING = {"split.py", "build.py", "resident.py", "module.py", "dropout.py"}


class Uses:
    """Where each seed was given to a generator, as `file:line`, and the purposes that seeds were derived for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.places: dict[int, Counter[str]] = defaultdict(Counter)
        self.purposes: dict[int, set[tuple[Any, ...]]] = defaultdict(set)
        note = self._note

        class Generator(torch.Generator):
            def manual_seed(self, seed: int) -> torch.Generator:
                note(seed)
                return super().manual_seed(seed)

        def derive(seed: int, *purpose: str | int) -> int:
            found = derive_seed(seed, *purpose)
            self.purposes[found].add((seed, *purpose))
            return found

        def noted(original: Callable[[int], Any]) -> Callable[[int], Any]:
            return lambda seed: (note(seed), original(seed))[1]

        for name, module in list(sys.modules.items()):
            if name.startswith("piecewise.") and getattr(module, "derive_seed", None) is derive_seed:
                monkeypatch.setattr(module, "derive_seed", derive)
        default = SimpleNamespace(manual_seed=noted(torch.default_generator.manual_seed))
        monkeypatch.setattr(torch, "Generator", Generator)
        monkeypatch.setattr(torch, "manual_seed", noted(torch.manual_seed))
        monkeypatch.setattr(torch, "default_generator", default)

    def _note(self, seed: int) -> None:
        frame: Any = sys._getframe(1)
        while not frame.f_code.co_filename.startswith(PACKAGE) or frame.f_code.co_name in ("generator", "epoch_order"):
            frame = frame.f_back
        self.places[seed][f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"] += 1


@pytest.fixture
def files(project: Project) -> None:
    """A table and images."""
    rng = np.random.default_rng(0)
    (project / "table.csv").write_text("x,y\n" + "".join(f"{a},{b}\n" for a, b in rng.normal(size=(40, 2))))
    (project / "images").mkdir()
    for part, count in (("train", 40), ("test", 10)):
        labels = np.arange(count) % 3
        for name, array in zip(FILES[part], (rng.integers(0, 256, (count, 4, 4)), labels), strict=True):
            header = struct.pack(f">2xBB{array.ndim}I", 8, array.ndim, *array.shape)
            (project / "images" / name).write_bytes(header + array.astype(np.uint8).tobytes())


@pytest.mark.usefixtures("files")
def test_no_two_purposes_of_any_job_share_a_seed(plan: Plan, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = {name: plan(*options)[0] for name, options in JOBS.items()}
    seen: dict[int, set[str]] = defaultdict(set)  # over all jobs
    purposes: dict[int, set[tuple[Any, ...]]] = defaultdict(set)
    for name, job in jobs.items():
        with monkeypatch.context() as patched:
            uses = Uses(patched)
            train(job, RunFolder.at(project / name))
        for seed, places in uses.places.items():
            (place,) = places
            # The weights are those that torch.manual_seed(seed) gives in plain PyTorch. No other stream has that seed.
            is_own = seed in uses.purposes or (seed == job.config.seed and place.startswith("build.py"))
            assert is_own, f"{name}: {place} has the seed {seed}, which was not derived for a purpose"
            assert places[place] == 1 or place.startswith(tuple(DATA)), f"{name}: {place} uses a seed again"
            seen[seed].add(place)
            purposes[seed] |= uses.purposes[seed]
    assert {place.partition(":")[0] for places in seen.values() for place in places} == DATA | TRAINING
    assert all(len(places) == 1 for places in seen.values())
    assert all(len(found) <= 1 for found in purposes.values())


class Repeated(nn.Module):
    """Two Dropout layers, each called so often in one step that counting up from near seeds would make them meet."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.calls = calls
        self.layers = nn.ModuleList([Dropout(0.5), Dropout(0.5)])
        self.output = nn.Linear(1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            for _ in range(self.calls):
                layer(x)
        return self.output(x)


@pytest.mark.parametrize("calls", [1, 1100])
def test_ranks_layers_calls_and_batches_have_different_seeds(monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
    model, x, num_batches, num_ranks = Repeated(calls), torch.zeros(2, 1), 2, 3
    uses = Uses(monkeypatch)
    for rank in range(num_ranks):
        monkeypatch.setattr(TrainingModule, "global_rank", rank)
        module = TrainingModule(model, SquaredError(), torch.optim.Adam)
        for number in range(num_batches):
            module._seed_generators(Batch(x, x, 2, 2, seed=5, number=number))
            model(x)
    counts = Counter(sum(places.values()) for places in uses.places.values())
    # Of each batch: a seed of its own for the default generator of each rank; and the masks, which all ranks draw.
    assert counts == Counter({1: num_batches * num_ranks}) + Counter({num_ranks: num_batches * 2 * calls})


def test_the_default_generator_and_the_masks_draw_different_numbers() -> None:
    module = TrainingModule(Repeated(1), SquaredError(), torch.optim.Adam)
    module.trainer = SimpleNamespace(global_rank=0)  # type: ignore[assignment]
    module._seed_generators(Batch(torch.zeros(1), torch.zeros(1), 1, 1, seed=5, number=0))
    drawn = torch.rand(64) >= 0.5  # as a layer of a user's would
    ones = torch.ones(1, 64)
    masks = [layer(ones)[0] > 0 for layer in module.dropouts]
    assert not torch.equal(drawn, masks[0])
    assert not torch.equal(masks[0], masks[1])
