"""A finished model as files without code: its weights in safetensors, its configuration in YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from piecewise.durable import write_atomic
from piecewise.errors import BadInput


def write_weights(weights: Path, tensors: dict[str, Tensor], config: dict[str, Any]) -> None:
    """Write `tensors` to `weights`, and the configuration that rebuilds the model beside it, with suffix .yaml."""
    text = yaml.safe_dump(config, sort_keys=True, allow_unicode=True)
    write_atomic(weights.with_suffix(".yaml"), text.encode())
    write_atomic(weights, save(tensors))


def load_weights(weights: Path) -> dict[str, Tensor]:
    """The tensors that `write_weights` wrote, by name. Raises BadInput if they cannot be read."""
    try:
        return load_file(weights)
    except (OSError, SafetensorError) as error:
        raise BadInput(f"{weights} cannot be read: {error}") from error
