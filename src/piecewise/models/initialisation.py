"""The variance of the weights before training (UDL 7.5)."""

import math
from collections.abc import Callable

from torch import nn

from piecewise.errors import BadInput, nearest

# σ² of a layer's weights, as a function of its numbers of inputs and outputs.
VARIANCES: dict[str, Callable[[int, int], float]] = {
    "he": lambda fan_in, fan_out: 2 / fan_in,  # UDL eq. 7.32: ReLU halves the second moment
    "glorot": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "zeros": lambda fan_in, fan_out: 0.0,
}
NAMES = ("default", *VARIANCES, "normal")


def initialise(model: nn.Module, name: str, variance: float | None = None) -> None:
    """Draw the weights of every linear and convolutional layer from Norm[0, σ²], and make their biases zero.

    `default` keeps what PyTorch draws, both uniform on ±1 / √fan_in; `normal` takes σ² from `variance`.
    Raises BadInput for an unknown name, and for a variance that is missing, not applicable, or negative.
    """
    if name not in NAMES:
        raise BadInput(f"model.init={name!r} is unknown; {nearest(name, NAMES)}")
    if (variance is not None) != (name == "normal"):
        raise BadInput(f"model.init_variance={variance} must be given with init=normal, and with nothing else")
    if variance is not None and not (math.isfinite(variance) and variance >= 0):
        raise BadInput(f"model.init_variance={variance} must be a number of at least 0")
    if name == "default":
        return
    for layer in model.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            positions = layer.weight[0, 0].numel()  # 1, or the pixels under a kernel
            fan_in, fan_out = layer.weight.shape[1] * positions, layer.weight.shape[0] * positions
            sigma = math.sqrt(VARIANCES[name](fan_in, fan_out) if variance is None else variance)
            nn.init.normal_(layer.weight, std=sigma)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
