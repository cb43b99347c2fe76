"""What people write without piecewise: Hydra, Lightning and its MLFlowLogger, for the job of benchmarks/sweeps.py."""

from __future__ import annotations

import logging
import warnings

import hydra
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.loggers import MLFlowLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


class Regression(pl.LightningModule):
    def __init__(self, width: int, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.model = nn.Sequential(nn.Linear(1, width), nn.ReLU(), nn.Linear(width, 1))

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        loss = nn.functional.mse_loss(self.model(batch[0]), batch[1])
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        self.log("val/loss", nn.functional.mse_loss(self.model(batch[0]), batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.hparams["lr"])


def loader(count: int, seed: int, shuffle: bool = False) -> DataLoader[tuple[Tensor, ...]]:
    x = 2 * torch.rand(count, 1, generator=torch.Generator().manual_seed(seed)) - 1
    return DataLoader(TensorDataset(x, torch.sin(3 * x)), batch_size=60, shuffle=shuffle)


@hydra.main(version_base=None, config_path=".", config_name="config")
def main(config: DictConfig) -> None:
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    pl.seed_everything(config.seed)
    logger = MLFlowLogger("sweep", tracking_uri=config.tracking_uri)
    trainer = pl.Trainer(
        max_epochs=config.max_epochs,
        check_val_every_n_epoch=10,
        accelerator="cpu",
        logger=logger,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    module = Regression(config.width, config.lr)
    trainer.fit(module, loader(360, 0, shuffle=True), loader(40, 1))
    trainer.validate(module, loader(1000, 2), verbose=False)


if __name__ == "__main__":
    main()
