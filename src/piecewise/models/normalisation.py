"""Normalisation of a hidden layer by name (UDL 11.4)."""

from torch import nn

from piecewise.errors import BadInput, nearest

NAMES = ("none", "batch", "layer", "group")
GROUPS = 4


def named_norm(name: str, width: int) -> nn.Module:
    """A layer that gives (N, `width`) mean 0 and variance 1 over the batch, the layer, or each of GROUPS unit groups.

    Raises BadInput for an unknown name, and for a width that GROUPS does not divide.
    """
    if name not in NAMES:
        raise BadInput(f"model.norm={name!r} is unknown; {nearest(name, NAMES)}")
    if name == "group" and width % GROUPS:
        raise BadInput(f"model.norm='group' makes {GROUPS} groups; model.width={width} is no multiple of {GROUPS}")
    if name == "group":
        return nn.GroupNorm(GROUPS, width)
    kinds: dict[str, type[nn.Module]] = {"none": nn.Identity, "batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
    return kinds[name](width)
