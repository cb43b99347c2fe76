"""A small convolutional residual network for images (UDL 11.5)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from piecewise.models.activations import ForwardPass, trace_activations
from piecewise.models.initialisation import initialise
from piecewise.models.sizes import check_images
from piecewise.shapes import check_shape


class Block(nn.Module):
    """conv[a[norm[conv[a[norm[h]]]]]] plus a 1×1 convolution of h at every second position; a is ReLU.

    Both terms have half the height and width of h.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, kernel_size=3, stride=2, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, kernel_size=3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(channels_in, channels_out, kernel_size=1, bias=False)
        self.activation = nn.ReLU()

    def forward(self, h: Tensor) -> Tensor:
        z = self.conv1(self.activation(self.norm1(h)))
        z = self.conv2(self.activation(self.norm2(z)))
        # Not stride=2 in the 1×1 convolution: its gradient with fewer than 8 input channels, channels last, corrupts
        # memory on CPUs without AVX-512 (torch 2.14.1, oneDNN 3.12.0).
        return self.shortcut(h[:, :, ::2, ::2]) + z  # type: ignore[no-any-return]


class ResNet(nn.Module):
    """A convolution to `width[0]` channels, a residual block for each further entry of `width`, batch norm, ReLU, the
    mean over all positions, and a linear layer.

    x: (N, C, H, W) → (N, D_o), or ValueError. Raises BadInput if the data are not images, or too small for so many
    blocks.
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
        channels = check_images("resnet", input_shape, width)
        self.input = nn.Conv2d(channels[0], channels[1], kernel_size=3, padding=1, bias=False)
        self.blocks = nn.Sequential(*(Block(before, after) for before, after in pairwise(channels[1:])))
        self.norm = nn.BatchNorm2d(channels[-1])
        self.activation = nn.ReLU()
        self.output = nn.Linear(channels[-1], num_outputs)
        initialise(self, init, init_variance)
        self.to(memory_format=torch.channels_last)  # for a CPU's matrix units and a GPU's tensor cores

    def trace(self, x: Tensor) -> ForwardPass:
        """The forward pass with the input and output of every ReLU, (N, C, H, W) each."""
        return trace_activations(self, nn.ReLU, x)

    def forward(self, x: Tensor) -> Tensor:
        check_shape("x", x, ("N", self.input.in_channels, "H", "W"))
        h = self.activation(self.norm(self.blocks(self.input(x))))
        return self.output(h.mean(dim=(2, 3)))  # type: ignore[no-any-return]
