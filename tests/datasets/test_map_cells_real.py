"""Rasters of real maps, against shapely and the maps' own ground."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from perceptum.builders import InputBuilder
from perceptum.datasets import open_log

LEVEL_Z = -0.3
"""Of level ground, as the datasets' table says of Argoverse 2."""
GROUND = ["map_ground_height", "map_ground_mask"]


def crossed(ring, x, y):
    """Even-odd, by counting the edges that a ray towards -x meets."""
    inside = np.zeros(x.shape, bool)
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        if y0 != y1:
            inside ^= ((y0 <= y) != (y1 <= y)) & (x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x)
    return inside


@pytest.mark.data
def test_a_real_map_s_rasters_are_shapely_s_and_its_ground_its_own(real_argoverse2):
    frame = open_log(real_argoverse2)[1]
    hdmap, own = frame.map, frame.world_from_ego
    layers = ["drivable_area", "lane", "crossing", "lane_divider"]
    params = {"map_raster": {"layers": layers, "line_width": 0.5}, "map_ground": {}}
    built = InputBuilder(["map_raster", *GROUND], params=params).build(frame)
    middles = -50 + (np.arange(200) + 0.5) * 0.5
    x, y = np.meshgrid(middles, middles)
    points = shapely.points(x, y)
    for channel, name in zip(built["map_raster"], layers, strict=True):
        shapes = hdmap.layers[name]
        height = np.where(np.isnan(shapes.points[:, 2]), hdmap.ground_height(shapes.points[:, :2]), shapes.points[:, 2])
        height = np.where(np.isnan(height), own[2, 3] + LEVEL_Z, height)
        moved = (np.column_stack([shapes.points[:, :2], height]) - own[:3, 3]) @ own[:3, :3]
        wanted = np.zeros(x.shape, bool)
        for a, b in zip(shapes.starts[:-1], shapes.starts[1:], strict=True):
            if shapes.kind == "polygon":
                wanted |= crossed(moved[a:b, :2], x, y)
            else:
                wanted |= shapely.distance(shapely.LineString(moved[a:b, :2]), points) <= 0.25
        assert (wanted != (channel == 1)).sum() <= 2, name
        assert wanted.any(), name
    at = np.column_stack([x.ravel(), y.ravel(), np.full(x.size, LEVEL_Z)])
    xy = (at @ own[:3, :3].T + own[:3, 3])[:, :2]
    wanted = hdmap.ground_height(xy) - hdmap.ground_height(own[:2, 3])
    assert np.array_equal(built["map_ground_mask"].ravel() == 1, np.isfinite(wanted))
    assert np.allclose(built["map_ground_height"].ravel(), np.nan_to_num(wanted), atol=1e-4)
