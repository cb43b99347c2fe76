"""The linear regions of a function of two inputs: activation patterns, merged where the function does not bend."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from torch import Tensor

from piecewise.theory.networks import bends
from piecewise.theory.polygons import TOLERANCE, RegionMap


def count_pieces(found: RegionMap) -> int:
    """The number of linear regions. Patterns that share an edge count as one if the function does not bend there.

    At most the number of activation patterns: units that later layers switch off, or whose weights are zero, bend
    nothing.
    """
    one, other = _neighbours(found).T
    slopes = torch.stack([region.slope for region in found.regions])
    steepest = torch.linalg.vector_norm(slopes, dim=2).amax(dim=0)
    is_one = (~bends(slopes[one], slopes[other], steepest)[0]).numpy()
    count, links = len(found.regions), (one[is_one].numpy(), other[is_one].numpy())
    graph = coo_matrix((np.ones(len(links[0])), links), shape=(count, count))
    return int(connected_components(graph, directed=False, return_labels=False))


def _neighbours(found: RegionMap) -> Tensor:
    """Pairs of regions with an edge in common, (E, 2). They share whole edges: a line that
    ends at an edge gives both regions a vertex there, because a pre-activation is continuous across the edge."""
    polygons = [region.vertices for region in found.regions]
    middles = np.concatenate([(polygon + np.roll(polygon, -1, axis=0)) / 2 for polygon in polygons])
    owner = np.repeat(np.arange(len(polygons)), [len(polygon) for polygon in polygons])
    reach = 2 * TOLERANCE * np.hypot(found.box[1] - found.box[0], found.box[3] - found.box[2])
    pairs = owner[cKDTree(middles).query_pairs(reach, output_type="ndarray")]
    return torch.from_numpy(pairs[pairs[:, 0] != pairs[:, 1]])
