"""The arrays of figures of two inputs: outputs on a grid, and exact linear regions."""

import torch
from torch import Tensor

from piecewise.data.spec import Examples
from piecewise.figures.ranges import span
from piecewise.jobs.build import Parts
from piecewise.theory.polygons import region_map

MAP_SIDE = 241  # points along each side of a decision map
MAX_REGIONS = 20_000  # of the plane; finding them takes a few seconds


def plane_outputs(parts: Parts, examples: Examples) -> dict[str, Tensor]:
    """Outputs over the range of two inputs, (MAP_SIDE, MAP_SIDE, D_o), row 0 at the smallest x₂."""
    extent, dtype = _extent(examples), next(parts.model.parameters()).dtype
    sides = [torch.linspace(low, high, MAP_SIDE, dtype=dtype) for low, high in extent]
    grid = torch.stack(torch.meshgrid(*sides, indexing="xy"), dim=-1).reshape(-1, *parts.spec.input_shape)
    outputs = parts.model(grid).reshape(MAP_SIDE, MAP_SIDE, -1)
    return {"plane_outputs": outputs, "plane_extent": torch.tensor(extent, dtype=torch.float64)}


def plane_regions(parts: Parts, examples: Examples) -> dict[str, Tensor]:
    """The corners of the linear regions over the range of two inputs, for a ReLU network."""
    extent = _extent(examples)
    exact = region_map(parts.model, (*extent[0], *extent[1]), MAX_REGIONS)
    if exact is None:
        return {}
    polygons = [torch.from_numpy(region.vertices) for region in exact.regions]
    return {
        "plane_corners": torch.cat(polygons),
        "plane_num_corners": torch.tensor([len(polygon) for polygon in polygons]),
        "plane_extent": torch.tensor(extent, dtype=torch.float64),
    }


def _extent(examples: Examples) -> list[tuple[float, float]]:
    """From and to of each input."""
    return [span(float(column.min()), float(column.max())) for column in examples.x.flatten(1).T]
