"""gt_heatmap, gt_reg, gt_index, gt_reg_mask, gt_reg_velocity_mask and gt_reg_label: CenterPoint's targets."""

from __future__ import annotations

from typing import Annotated, Literal

from .. import drawings
from ..checks import distinct
from ..errors import SpecError
from ..feature import Axes, Feature
from ..grid import Grid
from ..group import Group
from ..parameter import About
from .boxes import HEADING, Heading
from .cells import CellsParams, GivenGrid, Stride
from .presets import HEATMAP

__all__ = ["GROUPS", "CentreRule", "HeatmapParams", "RegressedColumn"]

CentreRule = Literal["floor", "truncate", "clamp"]

RegressedColumn = Literal[
    "offset_x",
    "offset_y",
    "z",
    "length",
    "width",
    "height",
    "log_length",
    "log_width",
    "log_height",
    "yaw",
    "sin_yaw",
    "cos_yaw",
    "vx",
    "vy",
]


class HeatmapParams(CellsParams, frozen=True, kw_only=True):
    grid: GivenGrid = Grid(range=(-51.2, -51.2, -5.0, 51.2, 51.2, 3.0), voxel=(0.1, 0.1, 0.2))
    stride: Stride = 8
    bev_layout: Annotated[
        Literal["CYX", "CXY"], About("The order of the axes. Row 0 is at ymin and column 0 at xmin.")
    ] = "CYX"
    cell: Annotated[
        CentreRule,
        About(
            "In which cell a centre is, of c = (x - xmin) / voxel / stride in float32. floor: floor(c), and a centre "
            "outside the map is in none; truncate: as floor, but -1 < c < 0 is cell 0 too, as CenterPoint and "
            "mmdetection3d have it; clamp: c is brought to 0 ... size - .5 first, as in OpenPCDet: set box_range too."
        ),
    ] = "floor"
    min_overlap: Annotated[
        float, About("How much a box moved by the radius overlaps itself at least, as CornerNet has it.", least=0)
    ] = 0.1
    min_radius: Annotated[int, About("A smaller radius becomes this one, in cells of the map.", "cell", least=0)] = 2
    max_objects: Annotated[int, About("Rows of gt_reg; of more boxes the first ones.", "count", least=1)] = 500
    columns: Annotated[tuple[RegressedColumn, ...], About("What a row of gt_reg holds, in order.")] = (
        *("offset_x", "offset_y", "z", "log_length", "log_width", "log_height", "sin_yaw", "cos_yaw", "vx", "vy"),
    )
    heading: Annotated[Heading, HEADING] = "from_x"
    object_order: Annotated[
        Literal["log", "class"],
        About("The order of the rows of gt_reg: that of the log; or by class, as CenterPoint and mmdetection3d sort."),
    ] = "log"

    def __post_init__(self) -> None:
        super().__post_init__()
        distinct("columns", self.columns)
        if not self.min_overlap <= 1:
            raise SpecError(f"min_overlap must be at most 1, got {self.min_overlap:g}")

    def dims(self) -> dict[str, int]:
        x, y = self.map_size()
        return {"C": len(self.whole_classes()), "Y": y, "X": x, "N": self.max_objects, "D": len(self.columns)}

    def decided_by(self, dim: str) -> tuple[str, ...]:
        decided = {"C": ("classes",), "N": ("max_objects",), "D": ("columns",)}
        return decided.get(dim, ("grid", "stride"))


def map_axes(params: HeatmapParams) -> Axes:
    """Returns the axes as `bev_layout` says."""
    return tuple(params.bev_layout)


GROUPS = (
    Group(
        name="gt_heatmap",
        params=HeatmapParams(),
        drawing=drawings.heatmap,
        presets=HEATMAP,
        features=(
            Feature(
                name="gt_heatmap",
                dtypes=("float32",),
                shape=map_axes,
                units="ratio",
                frame="reference",
                target=True,
                prose="Per class a Gaussian around the centre of each box, exp(-(i^2 + j^2) / (2 s^2)) for i and j "
                "from -r to r cells, s = (2 r + 1) / 6; 1 at the centre, the greatest where several meet. r is that "
                "of CornerNet, with all its roots as published, (b + sqrt(disc)) / 2. After CenterPoint (Yin et al. "
                "2021).",
            ),
            Feature(
                name="gt_reg",
                dtypes=("float32",),
                shape=("N", "D"),
                units="mixed",
                frame="reference",
                target=True,
                prose="Per box what is to be regressed at its centre; 0 in rows without one. A velocity that is not "
                "known is 0, its gt_reg_velocity_mask too.",
            ),
            Feature(
                name="gt_index",
                dtypes=("int64",),
                shape=("N",),
                units="index",
                frame="none",
                target=True,
                prose="For each row of gt_reg the cell of its centre, row * columns + column of the map; 0 in rows "
                "without a box.",
            ),
            Feature(
                name="gt_reg_mask",
                dtypes=("uint8",),
                shape=("N",),
                units="flag",
                frame="none",
                target=True,
                prose="Whether a row of gt_reg is of a box. That of one whose centre is outside the map stays empty.",
            ),
            Feature(
                name="gt_reg_velocity_mask",
                dtypes=("uint8",),
                shape=("N",),
                units="flag",
                frame="none",
                target=True,
                prose="Whether a row of gt_reg is of a box whose velocity is known.",
            ),
            Feature(
                name="gt_reg_label",
                dtypes=("int32",),
                shape=("N",),
                units="index",
                frame="none",
                fill=-1,
                target=True,
                prose="For each row of gt_reg the class of its box, by its place in `classes`; -1 in rows without one.",
            ),
        ),
    ),
)
