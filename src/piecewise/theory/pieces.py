"""Count the linear regions of a function of two inputs: neighbouring activation patterns with equal slope are one."""

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from torch import Tensor

from piecewise.theory.networks import bends
from piecewise.theory.polygons import TOLERANCE, RegionMap


def count_pieces(found: RegionMap) -> int:
    """The number of linear regions. Patterns that share an edge count as one if the function has one slope in both.

    The result is at most the number of activation patterns. It is smaller if a unit has no effect on the output there:
    a later layer switches it off, or its outgoing weights are zero.
    """
    first, second = _neighbours(found).T
    slopes = torch.stack([region.slope for region in found.regions])
    steepest = torch.linalg.vector_norm(slopes, dim=2).amax(dim=0)
    is_same = (~bends(slopes[first], slopes[second], steepest)[0]).numpy()
    same = first[is_same].numpy(), second[is_same].numpy()
    count = len(found.regions)
    graph = coo_matrix((np.ones(len(same[0])), same), shape=(count, count))
    return int(connected_components(graph, directed=False, return_labels=False))


def _neighbours(found: RegionMap) -> Tensor:
    """The pairs of patterns that share an edge, (E, 2): their polygons have an edge with the same midpoint.

    Neighbours always share a whole edge. Where the line of another unit meets an edge, the polygons on both sides have
    a vertex, because pre-activations are continuous.
    """
    polygons = [region.vertices for region in found.regions]
    midpoints = np.concatenate([(polygon + np.roll(polygon, -1, axis=0)) / 2 for polygon in polygons])
    owner = np.repeat(np.arange(len(polygons)), [len(polygon) for polygon in polygons])
    reach = 2 * TOLERANCE * np.hypot(found.box[1] - found.box[0], found.box[3] - found.box[2])
    pairs = owner[cKDTree(midpoints).query_pairs(reach, output_type="ndarray")]
    return torch.from_numpy(pairs[pairs[:, 0] != pairs[:, 1]])
