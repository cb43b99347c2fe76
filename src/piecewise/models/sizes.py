"""Checks of a model's requested sizes."""

from collections.abc import Sequence

from piecewise.errors import BadInput


def check_size(name: str, value: object, least: int = 1) -> int:
    """`value` if it is a whole number of at least `least`, else BadInput naming it."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BadInput(f"{name}={value!r} must be a whole number of at least {least}")
    return value


def check_images(model: str, input_shape: Sequence[int], width: Sequence[int]) -> list[int]:
    """The channels of the images and of each block in `width`, if the images can be halved once per block.

    Raises BadInput naming the option.
    """
    if not isinstance(width, Sequence) or not width:
        raise BadInput(f"model.width={width!r} must be a list with the channels of each block")
    if len(input_shape) != 3:
        raise BadInput(f"model={model} needs images (channels, height, width); the data has shape {tuple(input_shape)}")
    if min(input_shape[1:]) < 2 ** len(width):
        raise BadInput(f"model.width={list(width)} halves images of {tuple(input_shape[1:])} pixels too often")
    return [input_shape[0], *(check_size("model.width", size) for size in width)]
