"""Puts the training and validation sets on the device of each rank."""

import math
from typing import Any

import pytorch_lightning as pl
import torch

from piecewise.data.resident import CHUNK_SIZE, ChunkLoader, TrainLoader
from piecewise.data.spec import Examples


class ResidentData(pl.LightningDataModule):
    """Loaders over two sets that lie on the training device, so that no batch is transferred."""

    def __init__(self, train: Examples, val: Examples, batch_size: int, seed: int, max_shift: int = 0) -> None:
        super().__init__()
        self.sets = train, val
        self.batch_size = batch_size
        self.seed = seed
        self.max_shift = max_shift
        self._loaders: tuple[TrainLoader, ChunkLoader]  # made by `setup`, which Lightning calls first

    def setup(self, stage: str) -> None:
        trainer = self.trainer
        assert trainer is not None
        device, ranks = trainer.strategy.root_device, (trainer.global_rank, trainer.world_size)
        train, val = (Examples(part.x.to(device), part.y.to(device)) for part in self.sets)
        batches = trainer.overfit_batches  # type: ignore[attr-defined]
        if batches:  # train on the same few examples in every epoch
            train = train[torch.arange(min(len(train), int(batches * self.batch_size)), device=device)]
        loader = TrainLoader(train, self.batch_size, self.seed, self.max_shift, *ranks)
        limit = trainer.limit_train_batches
        # Lightning ends the epoch at this limit: a number of batches (int) or a fraction of them (float).
        loader.limit = min(len(loader), limit) if isinstance(limit, int) else int(len(loader) * limit)
        loader.accumulated = trainer.accumulate_grad_batches
        self._loaders = loader, ChunkLoader(_limited(val, trainer), rank=ranks[0], world_size=ranks[1])

    @property
    def num_epochs(self) -> int:
        """Completed epochs. Lightning's counter is one behind if a checkpoint was saved at the end of an epoch."""
        return self._loaders[0].num_epochs

    # Lightning saves the loader's state too, but restores none after a schedule has asked for the number of steps.
    def state_dict(self) -> dict[str, Any]:
        return self._loaders[0].state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._loaders[0].load_state_dict(state_dict)

    def train_dataloader(self) -> Any:
        return self._loaders[0]

    def val_dataloader(self) -> Any:
        return self._loaders[1]

    def transfer_batch_to_device(self, batch: Any, device: Any, dataloader_idx: int) -> Any:
        return batch


def _limited(val: Examples, trainer: pl.Trainer) -> Examples:
    """Apply `limit_val_batches` here: Lightning would limit each rank, and choose other examples with more ranks."""
    chunks, limit = math.ceil(len(val) / CHUNK_SIZE), trainer.limit_val_batches
    kept = limit if isinstance(limit, int) else max(1, int(chunks * limit))
    trainer.limit_val_batches = 1.0
    return val if kept >= chunks else val[torch.arange(kept * CHUNK_SIZE, device=val.x.device)]
