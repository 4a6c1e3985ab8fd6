"""gt_segmentation: the class of each lidar point."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, Any, Literal

import msgspec

from .. import drawings
from ..collate import Concat
from ..errors import SpecError
from ..feature import Feature
from ..grid import check_range
from ..group import Group
from ..lidar import CloudParams
from ..parameter import About
from .labels import LabelsParams
from .presets import SEGMENTATION

__all__ = ["GROUPS", "SegmentationParams"]


class SegmentationParams(LabelsParams, frozen=True, kw_only=True):
    lidar: Annotated[
        CloudParams, About("The lidar points, as lidar_points has them; their axes are those of `frame`.")
    ] = CloudParams()
    range: Annotated[
        tuple[float, float, float, float, float, float] | None,
        About("xmin ymin zmin xmax ymax zmax, half-open, as that of lidar_points; null: all points.", "m"),
    ] = None
    max_points: Annotated[
        int | None, About("At most this many points, the first ones; null: all.", "count", least=1)
    ] = None
    source: Annotated[
        Literal["boxes", "points"],
        About(
            "boxes: a point is of the class of the box that it lies in, its faces included; points: of the class that "
            "the log says of it, as SemanticKITTI and nuScenes' lidarseg do, whose names are the categories of "
            "`classes`; of sweeps that are not labelled it is of none."
        ),
    ] = "boxes"
    overlap: Annotated[
        Literal["first", "nearest"],
        About("Of several boxes that a point lies in: the first, in the order of the log; or that of nearest centre."),
    ] = "first"
    label_base: Annotated[Literal[0, 1], About("The number of the first class.")] = 0
    no_class: Annotated[int, About("What a point of no class is given.", least=-1)] = -1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.range is not None:
            check_range(self.range)
        self.cloud()

    def cloud(self) -> CloudParams:
        """Returns the parameters of the points: with the axes, and the ground, of the boxes."""
        lidar, axes = self.lidar, self.reference()
        for name in ("frame", "ground", "ground_z"):
            own, default = getattr(lidar, name), getattr(CloudParams(), name)
            if own not in (default, getattr(axes, name)):
                raise SpecError(f"lidar.{name} is {own!r}, and {name} is {getattr(axes, name)!r}: say it in `{name}`")
        # a log's own labels of points are a column that its sweeps may lack
        more: dict[str, Any] = {"missing_columns": "error"} if self.required and self.source == "points" else {}
        return msgspec.structs.replace(lidar, **msgspec.structs.asdict(axes), **more).cloud()

    def meaning(self) -> dict[str, Any]:
        return {**super().meaning(), "lidar": self.cloud().meaning()}

    def cap(self, dim: str) -> int | None:
        return self.max_points if dim == "num_points" else None

    def size_key(self, dim: str) -> Hashable:
        if dim != "num_points":
            return super().size_key(dim)
        # as lidar_points': there is a row for each of its rows
        return (dim, self.cloud().count_key(), self.range, self.max_points)


GROUPS = (
    Group(
        name="gt_segmentation",
        params=SegmentationParams(),
        drawing=drawings.segmentation,
        presets=SEGMENTATION,
        features=(
            Feature(
                name="gt_segmentation",
                dtypes=("int32",),
                shape=("num_points",),
                units="index",
                frame="none",
                fill=-1,
                cut="first_rows",
                collate=Concat(),
                rows_of="lidar_points",
                target=True,
                prose="For each row of lidar_points of the same points its class, by its place in `classes`, from "
                "`label_base`; `no_class` for a point of none, -1 in rows that are padded.",
            ),
        ),
    ),
)
