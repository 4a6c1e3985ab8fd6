"""gt_map: the map's layers as what a model is to learn."""

from __future__ import annotations

from .. import drawings
from ..birds_eye import birds_eye_axes
from ..feature import Feature
from ..group import Group
from ..map.presets import BEVFUSION_SEG, RASTER
from ..map.raster import RasterParams
from ..preset import Preset

__all__ = ["GROUPS"]

GROUPS = (
    Group(
        name="gt_map",
        params=RasterParams(layers=tuple(BEVFUSION_SEG["layers"])),
        drawing=drawings.birds_eye,
        presets={"bevfusion_seg": Preset(BEVFUSION_SEG, follows=RASTER["bevfusion_seg"].follows)},
        features=(
            Feature(
                name="gt_map",
                dtypes=("uint8", "float32"),
                shape=birds_eye_axes,
                units="ratio",
                frame="reference",
                target=True,
                prose="map_raster as a target: one channel for each of `layers`, by default 1 in the cells of its "
                "areas and lines, 0 elsewhere. With the preset, BEVFusion's gt_masks_bev.",
            ),
            Feature(
                name="gt_map_valid",
                dtypes=("uint8",),
                shape=("L",),
                units="flag",
                frame="none",
                target=True,
                prose="Per channel, whether the log's map has its layer, of several any: where it is 0 there is "
                "nothing to learn.",
            ),
        ),
    ),
)
