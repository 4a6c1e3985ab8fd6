"""gt_boxes, gt_labels, gt_velocity_mask, gt_num_boxes and gt_valid."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, Literal

from .. import drawings
from ..checks import distinct
from ..collate import Concat
from ..feature import Feature
from ..group import Group
from ..parameter import About
from .labels import LabelsParams
from .presets import BOXES

__all__ = ["GROUPS", "HEADING", "BoxColumn", "BoxesParams", "Heading"]

Heading = Literal["from_x", "mmdet3d_0"]

HEADING = About(
    "What a yaw is. from_x: counterclockwise from the x axis; mmdet3d_0: -yaw - pi/2, as CenterPoint counts, and "
    "mmdetection3d before 1.0. Both in [-pi, pi)."
)

BoxColumn = Literal["x", "y", "z", "length", "width", "height", "yaw", "sin_yaw", "cos_yaw", "vx", "vy", "label"]


class BoxesParams(LabelsParams, frozen=True, kw_only=True):
    columns: Annotated[
        tuple[BoxColumn, ...], About("What a row holds, in order; `label` is its class, as gt_labels has it.")
    ] = ("x", "y", "z", "length", "width", "height", "yaw", "vx", "vy")
    centre: Annotated[
        Literal["geometric", "bottom"],
        About("Which point of a box x y z are: its middle; or that of its bottom face, as mmdetection3d has it."),
    ] = "geometric"
    heading: Annotated[Heading, HEADING] = "from_x"
    label_base: Annotated[Literal[0, 1], About("The number of the first class: OpenPCDet counts from 1.")] = 0
    max_boxes: Annotated[int | None, About("At most this many boxes, the first ones; null: all.", "count", least=1)] = (
        None
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        distinct("columns", self.columns)

    def dims(self) -> dict[str, int]:
        return {"C": len(self.columns)}

    def decided_by(self, dim: str) -> tuple[str, ...]:
        return ("columns",) if dim == "C" else ()

    def cap(self, dim: str) -> int | None:
        return self.max_boxes if dim == "num_boxes" else None

    def size_key(self, dim: str) -> Hashable:
        return (dim, self.count_key(), self.max_boxes) if dim == "num_boxes" else super().size_key(dim)


GROUPS = (
    Group(
        name="gt_boxes",
        params=BoxesParams(),
        drawing=drawings.boxes,
        presets=BOXES,
        features=(
            Feature(
                name="gt_boxes",
                dtypes=("float32",),
                shape=("num_boxes", "C"),
                units="mixed",
                frame="reference",
                cut="first_rows",
                collate=Concat(),
                target=True,
                prose="The labelled boxes, in the order of the log. One that is not finite or has no size is left out "
                "and counted. A velocity that is not known is 0, its gt_velocity_mask too.",
            ),
            Feature(
                name="gt_labels",
                dtypes=("int32",),
                shape=("num_boxes",),
                units="index",
                frame="none",
                fill=-1,
                cut="first_rows",
                collate=Concat(),
                target=True,
                prose="For each row of gt_boxes its class, by its place in `classes`, from `label_base`; -1 in rows "
                "that are padded.",
            ),
            Feature(
                name="gt_velocity_mask",
                dtypes=("uint8",),
                shape=("num_boxes",),
                units="flag",
                frame="none",
                cut="first_rows",
                collate=Concat(),
                target=True,
                prose="For each row of gt_boxes whether its velocity is known.",
            ),
            Feature(
                name="gt_num_boxes",
                dtypes=("int32",),
                shape=(1,),
                units="count",
                frame="none",
                counts="gt_boxes",
                target=True,
                prose="How many rows of gt_boxes are real.",
            ),
            Feature(
                name="gt_valid",
                dtypes=("uint8",),
                shape=(1,),
                units="flag",
                frame="none",
                target=True,
                prose="Whether the frame is labelled: without labels nothing is known, which is another thing than "
                "that there is no box.",
            ),
        ),
    ),
)
