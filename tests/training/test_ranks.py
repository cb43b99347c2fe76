"""What training on several ranks does differently, tested without starting ranks."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from pytorch_lightning.strategies import DDPStrategy
from torch import nn

from piecewise.training.strategy import START_TIMEOUT, DDPWithTimeouts, warn_of_local_batch_norm

NORMED = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2)))


@pytest.mark.parametrize(
    ("model", "num_warnings"),
    [(NORMED, 1), (nn.SyncBatchNorm.convert_sync_batchnorm(deepcopy(NORMED)), 0), (nn.LayerNorm(2), 0)],
)
def test_batch_norm_that_is_not_synchronised_is_warned_of_once(
    model: nn.Module, num_warnings: int, capsys: pytest.CaptureFixture[str]
) -> None:
    warn_of_local_batch_norm(model)
    printed = capsys.readouterr().err
    assert printed.count("batch norm is not synchronised (1.0 is the first)") == num_warnings
    assert printed.count("\n") == num_warnings


def test_the_start_timeout_applies_until_all_ranks_have_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def meet(strategy: DDPWithTimeouts) -> None:
        store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
        torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1, timeout=START_TIMEOUT)

    def timeout() -> timedelta:
        return torch.distributed.group.WORLD._get_backend(torch.device("cpu")).options._timeout  # type: ignore

    strategy = DDPWithTimeouts(timedelta(seconds=7))
    assert strategy._timeout == START_TIMEOUT
    monkeypatch.setattr(DDPStrategy, "setup_distributed", meet)
    try:
        strategy.setup_distributed()
        assert timeout() == timedelta(seconds=7)
    finally:
        torch.distributed.destroy_process_group()
