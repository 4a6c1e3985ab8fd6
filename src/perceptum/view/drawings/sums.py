"""Bird's-eye views of lidar and radar: one number for each column of cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .birds_eye import laid, reach_of_grid
from .drawing import OnGround
from .ground import Ground
from .kind import Kind, NotDrawn

__all__ = ["OCCUPANCY", "RADAR_BEV", "STATS", "TEMPORAL"]


_WIDE = 10.0
"""From this share of the least and the largest number on colours go by its logarithm."""


def _draw_cells(ground: Ground, kind: Kind, values: NDArray[np.float32], unit: str) -> str:
    reach = reach_of_grid(kind.params)
    if reach is None:
        raise NotDrawn("its grid is a cylinder")
    some = values != 0
    if some.any():
        low, high = values[some].min(), values[some].max()
        # a few cells near the sensor have most of the points
        norm = "log" if 0 < low < high / _WIDE else "linear"
        ground.scale(ground.cells(np.where(some, values, np.nan), reach, cmap="viridis_r", norm=norm), unit)
    return f"{np.count_nonzero(some)} cells are not empty"


def _channels(kind: Kind) -> NDArray[np.float32]:
    return laid(kind[kind.group], kind.params).astype(np.float32)


def _draw_sum(ground: Ground, kind: Kind) -> str:
    return _draw_cells(ground, kind, _channels(kind).sum(axis=0), "sum of the channels")


def _draw_stats(ground: Ground, kind: Kind) -> str:
    # the word that stands for several channels is the sum of these
    first = kind.params.channels[0]
    values = _channels(kind)[: kind.params.channels_of(first)].sum(axis=0)
    said = _draw_cells(ground, kind, values, first)
    rest = len(kind.params.channels) - 1
    return f"{said}; {first} is drawn, not the {rest} others" if rest else said


def _draw_radar(ground: Ground, kind: Kind) -> str:
    channels = _channels(kind)
    cycles = channels[: kind.params.num_sweeps].sum(axis=0)
    said = _draw_cells(ground, kind, cycles, "cycles with a detection")
    rows, columns = np.nonzero(cycles)
    reach, (wide, high, _) = reach_of_grid(kind.params), kind.params.grid.voxel
    assert reach is not None
    places = np.stack([reach[0] + (columns + 0.5) * wide, reach[1] + (rows + 0.5) * high], axis=1)
    ground.arrows(places, channels[-2:, rows, columns].T, "#c2185b", 1.0)
    ground.name("a second of its motion", "#c2185b")
    return said


OCCUPANCY = OnGround(draw=_draw_sum, cells=True, reach=reach_of_grid, needs=("lidar_bev_occupancy",))
TEMPORAL = OnGround(draw=_draw_sum, cells=True, reach=reach_of_grid, needs=("lidar_bev_temporal",))
STATS = OnGround(draw=_draw_stats, cells=True, reach=reach_of_grid, needs=("lidar_bev_stats",))
RADAR_BEV = OnGround(draw=_draw_radar, cells=True, reach=reach_of_grid, needs=("radar_bev",))
