"""A small convolutional network for images (UDL chapter 10)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from piecewise.models.activations import ForwardPass, trace_activations
from piecewise.models.initialisation import initialise
from piecewise.models.sizes import check_images
from piecewise.shapes import check_shape


class Cnn(nn.Module):
    """One block per entry of `width`, each halving the image; then the maximum over all positions and a linear layer.

    x: (N, C, H, W) → (N, D_o); ValueError for any other shape. The constructor raises BadInput if `input_shape` is not
    that of images, or if they are too small for so many blocks. `width` holds the channels of each block.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int,
        width: Sequence[int] = (16, 32, 64),
        init: str = "default",
        init_variance: float | None = None,
    ) -> None:
        super().__init__()
        channels = check_images("cnn", input_shape, width)
        self.num_channels = channels[0]
        self.features = nn.Sequential(*(_block(before, after) for before, after in pairwise(channels)))
        self.output = nn.Linear(channels[-1], num_outputs)
        initialise(self, init, init_variance)
        # With channels-last weights, matrix units of CPUs and tensor cores of GPUs need no conversion.
        self.to(memory_format=torch.channels_last)

    def trace(self, x: Tensor) -> ForwardPass:
        """The forward pass with the input and output of every ReLU, (N, C, H, W) each."""
        return trace_activations(self, nn.ReLU, x)

    def forward(self, x: Tensor) -> Tensor:
        check_shape("x", x, ("N", self.num_channels, "H", "W"))
        return self.output(self.features(x).amax(dim=(2, 3)))  # type: ignore[no-any-return]


def _block(channels_in: int, channels_out: int) -> nn.Sequential:
    """Two 3×3 convolutions with batch norm and ReLU. Pooling comes before the norm to quarter its work."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
        nn.Conv2d(channels_out, channels_out, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )
