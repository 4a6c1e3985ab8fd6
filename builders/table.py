"""Which class fills which of our groups of features: one line per group. Others' groups name their own."""

from __future__ import annotations

from perceptum.features import Group, ego, lidar

from .ego import Ego
from .lidar.bev_occupancy import BevOccupancy
from .lidar.bev_stats import BevStats
from .lidar.points import Points
from .lidar.range_image import RangeImage
from .lidar.voxels import Voxels
from .stage import Filler

__all__ = ["own_filler"]

_OWN: tuple[type[Filler], ...] = (
    Points,
    Voxels,
    BevOccupancy,
    BevStats,
    RangeImage,
    Ego,
)


def own_filler(group: Group) -> type[Filler] | None:
    """Returns the filler of one of our own groups; None for a group that only has the name of one.

    Ours write what our features say, and would write it into whatever other feature were put beside them.
    """
    for own in (*lidar.GROUPS, *ego.GROUPS):
        if own.name == group.name and type(own.params) is type(group.params):
            known = {feature.name for feature in own}
            if known.issuperset(feature.name for feature in group):
                return next((filler for filler in _OWN if filler.group == group.name), None)
    return None
