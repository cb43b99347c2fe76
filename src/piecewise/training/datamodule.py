"""Puts the training and validation sets on the device of each rank."""

from typing import Any

import pytorch_lightning as pl

from piecewise.data.resident import ChunkLoader, TrainLoader
from piecewise.data.spec import Examples
from piecewise.training.length import Length


class ResidentData(pl.LightningDataModule):
    """Loaders over two sets that lie on the training device, so that no batch is transferred."""

    def __init__(self, train: Examples, val: Examples, length: Length, seed: int, max_shift: int = 0) -> None:
        super().__init__()
        self.sets = train, val
        self.length = length
        self.seed = seed
        self.max_shift = max_shift
        self._loaders: tuple[TrainLoader, ChunkLoader]  # made by `setup`, which Lightning calls first

    def setup(self, stage: str) -> None:
        trainer, length = self.trainer, self.length
        assert trainer is not None
        device, ranks = trainer.strategy.root_device, (trainer.global_rank, trainer.world_size)
        train, val = (
            Examples(part.x[:count].to(device), part.y[:count].to(device))
            for part, count in zip(self.sets, (length.num_train, length.num_val), strict=True)
        )
        grouping = length.num_batches, length.accumulated
        loader = TrainLoader(train, length.batch_size, self.seed, self.max_shift, *ranks, *grouping)
        self._loaders = loader, ChunkLoader(val, rank=ranks[0], world_size=ranks[1])

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
