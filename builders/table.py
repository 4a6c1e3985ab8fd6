"""Which class fills which group of features: one line per group."""

from __future__ import annotations

from functools import cache

from perceptum.features.plug_ins import plug_ins

from .ego import Ego
from .lidar.bev_occupancy import BevOccupancy
from .lidar.bev_stats import BevStats
from .lidar.points import Points
from .lidar.range_image import RangeImage
from .lidar.voxels import Voxels
from .stage import Filler

__all__ = ["fillers"]

_OWN: tuple[type[Filler], ...] = (
    Points,
    Voxels,
    BevOccupancy,
    BevStats,
    RangeImage,
    Ego,
)


@cache
def fillers() -> dict[str, type[Filler]]:
    """Returns group -> filler, with those of plug-ins (entry points `perceptum.features`, FILLERS); ours win."""
    others = [filler for plug_in in plug_ins() for filler in plug_in.fillers]
    return {filler.group: filler for filler in (*others, *_OWN)}
