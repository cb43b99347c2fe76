"""A finished model as files that hold no code: safetensors for the weights, YAML for what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from piecewise.durable import write_atomic
from piecewise.errors import BadInput


def publish(weights: Path, tensors: dict[str, Tensor], config: dict[str, Any]) -> None:
    """Write `weights` and, beside it with the ending .yaml, the configuration that rebuilds the model."""
    text = yaml.safe_dump(config, sort_keys=True, allow_unicode=True)
    write_atomic(weights.with_suffix(".yaml"), text.encode())
    write_atomic(weights, save(tensors))


def load_weights(weights: Path) -> dict[str, Tensor]:
    """The tensors that `publish` wrote, by name. Raises BadInput if they cannot be read."""
    try:
        return load_file(weights)
    except (OSError, SafetensorError) as error:
        raise BadInput(f"{weights} cannot be read: {error}") from error
