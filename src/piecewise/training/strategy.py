"""How several ranks train one model, and how long they wait for one another."""

from __future__ import annotations

from datetime import timedelta

import torch
from pytorch_lightning.strategies import DDPStrategy

START = timedelta(seconds=120)  # that ranks have to begin, at least: importing torch takes a busy machine its time


class PatientDDP(DDPStrategy):
    """DDP that gives up a rank that is away for `timeout`, but one that has not begun yet not before START."""

    def __init__(self, timeout: timedelta) -> None:
        super().__init__(timeout=max(timeout, START))
        self.patience = timeout

    def setup_distributed(self) -> None:
        """Meet, and be strict from then on."""
        super().setup_distributed()
        if hasattr(torch.distributed, "set_timeout"):
            torch.distributed.set_timeout(self.patience)
        else:  # as older releases call it
            torch.distributed.distributed_c10d._set_pg_timeout(self.patience)
