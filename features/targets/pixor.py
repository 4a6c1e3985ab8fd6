"""gt_pixor_cls, gt_pixor_mask and gt_pixor_reg: PIXOR's targets."""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Any

from .. import drawings
from ..checks import finite
from ..errors import SpecError
from ..feature import Axes, Feature
from ..grid import Grid
from ..group import Group
from ..parameter import About
from .cells import CellsParams, GivenGrid, Stride
from .presets import PIXOR

__all__ = ["GROUPS", "PixorParams"]

_Six = tuple[float, float, float, float, float, float]


class PixorParams(CellsParams, frozen=True, kw_only=True):
    grid: GivenGrid = Grid(range=(0.0, -40.0, -2.5, 70.0, 40.0, 1.0), voxel=(0.1, 0.1, 0.1))
    stride: Stride = 4
    positive_scale: Annotated[
        float, About("A cell whose centre lies in a box of so many times its length and width is of the box.", least=0)
    ] = 0.3
    ignore_scale: Annotated[
        float, About("One that lies in a box of so many times its size, and is of none, is ignored.", least=0)
    ] = 1.2
    mean: Annotated[_Six, About("What is taken from cos, sin, dx, dy, log width and log length first.")] = (
        *(0.008, 0.001, 0.202, 0.2, 0.43, 1.368),
    )
    std: Annotated[_Six, About("By what each is divided then, not 0.")] = (0.866, 0.5, 0.954, 0.668, 0.09, 0.111)

    def __post_init__(self) -> None:
        super().__post_init__()
        finite("mean", self.mean)
        finite("std", self.std)
        if min(map(abs, self.std)) == 0:
            raise SpecError(f"std must not be 0, got {list(self.std)}")
        if not (isfinite(self.positive_scale) and isfinite(self.ignore_scale)):
            raise SpecError(f"scales must be finite, got {self.positive_scale:g} and {self.ignore_scale:g}")

    bev_layout = "CYX"

    def dims(self) -> dict[str, int]:
        x, y = self.map_size()
        return {"Y": y, "X": x}

    def decided_by(self, dim: str) -> tuple[str, ...]:
        return ("grid", "stride")

    def column_names(self) -> tuple[str, ...]:
        return ("cos_yaw", "sin_yaw", "to_centre_x", "to_centre_y", "log_width", "log_length")


_MAP: dict[str, Any] = {"shape": (1, "Y", "X"), "units": "flag", "frame": "reference", "target": True}
_REG: Axes = (6, "Y", "X")

GROUPS = (
    Group(
        name="gt_pixor",
        params=PixorParams(),
        drawing=drawings.heatmap,
        presets=PIXOR,
        features=(
            Feature(
                name="gt_pixor_cls",
                dtypes=("float32",),
                prose="1 in cells whose centre lies in the middle of a box, by `positive_scale`. Row 0 is at ymin and "
                "column 0 at xmin. After PIXOR (Yang et al. 2018).",
                **_MAP,
            ),
            Feature(
                name="gt_pixor_mask",
                dtypes=("uint8",),
                fill=1,
                prose="0 in cells near the border of a box, by `ignore_scale`: a loss leaves them out.",
                **_MAP,
            ),
            Feature(
                name="gt_pixor_reg",
                dtypes=("float32",),
                shape=_REG,
                units="mixed",
                frame="reference",
                target=True,
                prose="In cells where gt_pixor_cls is 1, (value - mean) / std of their box: cos and sin of its yaw, "
                "how far its centre is from that of the cell, and the logarithms of its width and length; 0 elsewhere. "
                "Of several boxes the first, in the order of the log.",
            ),
        ),
    ),
)
