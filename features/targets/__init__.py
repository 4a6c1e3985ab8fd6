"""Targets: what models are to learn, made for training only. How is in builders/targets, file by file the same."""

from ..classes import CLASS_LISTS, Classes, ClassListName, LabelClass, class_of, classes_of
from ..group import Group
from . import boxes, boxes_2d, heatmap, pixor, segmentation, trajectory
from . import map as target_map
from .boxes import BoxColumn, BoxesParams
from .boxes_2d import Box2dColumn, Boxes2dParams
from .heatmap import CentreRule, HeatmapParams, RegressedColumn
from .labels import LabelsParams
from .pixor import PixorParams
from .segmentation import SegmentationParams
from .trajectory import FutureColumn, TrajectoryParams

__all__ = [
    "CLASS_LISTS",
    "GROUPS",
    "Box2dColumn",
    "BoxColumn",
    "Boxes2dParams",
    "BoxesParams",
    "CentreRule",
    "ClassListName",
    "Classes",
    "FutureColumn",
    "HeatmapParams",
    "LabelClass",
    "LabelsParams",
    "PixorParams",
    "RegressedColumn",
    "SegmentationParams",
    "TrajectoryParams",
    "class_of",
    "classes_of",
]

GROUPS: tuple[Group, ...] = (
    *boxes.GROUPS,
    *heatmap.GROUPS,
    *trajectory.GROUPS,
    *segmentation.GROUPS,
    *boxes_2d.GROUPS,
    *pixor.GROUPS,
    *target_map.GROUPS,
)
