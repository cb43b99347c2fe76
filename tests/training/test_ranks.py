"""What a training on several ranks does differently, without starting any."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from piecewise.data.resident import CHUNK
from piecewise.data.spec import Examples
from piecewise.training.datamodule import _limited
from piecewise.training.fit import _warn_of_batch_norm

NORMED = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2)))


@pytest.mark.parametrize(
    ("model", "layer_sync", "is_told"),
    [(NORMED, None, True), (NORMED, object(), False), (nn.Sequential(nn.LayerNorm(2)), None, False)],
)
def test_batch_norm_of_each_rank_alone_is_told_once_by_name(
    model: nn.Module, layer_sync: object, is_told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = SimpleNamespace(strategy=SimpleNamespace(_layer_sync=layer_sync))
    _warn_of_batch_norm(model, trainer)  # type: ignore[arg-type]
    said = capsys.readouterr().err
    assert said.count("1.0 and all batch norm: each process takes mean and variance") == is_told
    assert said.count("\n") == is_told


@pytest.mark.parametrize(
    ("limit", "kept"), [(1.0, 3500), (4, 3500), (9, 3500), (3, 3000), (1, 1000), (0.5, 2000), (0.01, 1000)]
)
def test_a_limit_of_validation_batches_is_of_all_ranks_together(limit: float, kept: int) -> None:
    assert CHUNK == 1000
    val = Examples(torch.arange(3500.0)[:, None], torch.arange(3500))
    trainer = SimpleNamespace(limit_val_batches=limit)
    found = _limited(val, trainer)  # type: ignore[arg-type]
    assert torch.equal(found.y, val.y[:kept])
    assert trainer.limit_val_batches == 1.0  # nothing is left for Lightning to cut
