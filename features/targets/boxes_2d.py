"""gt_boxes_2d and its labels, cameras and boxes: the labelled boxes as the cameras see them."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, Any, Literal

from .. import drawings
from ..camera.camera import PlacedCameraParams
from ..checks import distinct, finite
from ..classes import CLASSES, Classes, LabelClass, classes_of, meaning_of
from ..collate import Concat
from ..feature import Feature
from ..group import Group
from ..parameter import About
from .labels import LabelsParams
from .presets import BOXES_2D

__all__ = ["GROUPS", "Box2dColumn", "Boxes2dParams"]

Box2dColumn = Literal["u_min", "v_min", "u_max", "v_max", "visible", "u", "v", "depth"]


class Boxes2dParams(PlacedCameraParams, frozen=True, kw_only=True):
    classes: Annotated[Classes, CLASSES] = "road_users"
    min_points: Annotated[
        int, About("A box in which the log counted fewer lidar points is left out, as of gt_boxes.", "count", least=0)
    ] = 0
    columns: Annotated[
        tuple[Box2dColumn, ...],
        About("What a row holds, in order; u, v and depth are of the middle of the box, which may be off the picture."),
    ] = ("u_min", "v_min", "u_max", "v_max")
    outline: Annotated[
        Literal["hull", "corners"],
        About(
            "What is around a box, of its corners in front of the camera. hull: the part of their convex hull that the "
            "picture shows, as nuScenes' devkit has it; corners: the least and the most of them, brought to the "
            "picture's edges, which beside the picture is more than is shown."
        ),
    ] = "hull"
    edges: Annotated[
        Literal["pixels", "published"],
        About("Where a picture ends. pixels: -.5 to width - .5, where its pixels do; published: 0 to width."),
    ] = "pixels"
    lens: Annotated[
        Literal["picture", "none"],
        About(
            "picture: corners are seen through the lens by which the picture was taken, unless `image.undistort` took "
            "it out; none: as if there were none."
        ),
    ] = "picture"
    min_size: Annotated[
        float, About("What is narrower or lower than this in the picture is left out.", "px", least=0)
    ] = 0.0
    max_boxes: Annotated[int | None, About("At most this many boxes, the first ones; null: all.", "count", least=1)] = (
        None
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        distinct("columns", self.columns)
        finite("min_size", (self.min_size,))
        self.labels()

    def labels(self) -> LabelsParams:
        """Returns the parameters of the boxes: the key of the builders' stage `LabelBoxes`."""
        return LabelsParams(frame=self.frame, classes=self.classes, min_points=self.min_points, required=self.required)

    def whole_classes(self) -> tuple[LabelClass, ...]:
        """Returns the classes in full, in the order of their numbers."""
        return classes_of(self.classes)

    def parts(self) -> dict[str, Any]:
        return {**super().parts(), "classes": self.classes}

    def meaning(self) -> dict[str, Any]:
        return {**super().meaning(), "classes": meaning_of(self.classes)}

    def dims(self) -> dict[str, int]:
        return {"C": len(self.columns)}

    def decided_by(self, dim: str) -> tuple[str, ...]:
        return ("columns",) if dim == "C" else ()

    def cap(self, dim: str) -> int | None:
        return self.max_boxes if dim == "num_boxes_2d" else None

    def size_key(self, dim: str) -> Hashable:
        return (dim, self) if dim == "num_boxes_2d" else super().size_key(dim)


_PER_ROW: dict[str, Any] = {"shape": ("num_boxes_2d",), "units": "index", "frame": "none", "cut": "first_rows"}

GROUPS = (
    Group(
        name="gt_boxes_2d",
        params=Boxes2dParams(),
        drawing=drawings.camera_pixels,
        presets=BOXES_2D,
        features=(
            Feature(
                name="gt_boxes_2d",
                dtypes=("float32",),
                shape=("num_boxes_2d", "C"),
                units="mixed",
                frame="image",
                cut="first_rows",
                collate=Concat(),
                target=True,
                prose="The labelled boxes as the pictures show them, on the pixels of the tensor's pictures: camera "
                "after camera, of each in the order of the log. What another object hides is seen too. A box without "
                "a corner in front of the camera, or of which the picture shows nothing, is not there.",
            ),
            Feature(
                name="gt_boxes_2d_label",
                dtypes=("int32",),
                fill=-1,
                collate=Concat(),
                target=True,
                prose="For each row of gt_boxes_2d its class, by its place in `classes`; -1 in rows that are padded.",
                **_PER_ROW,
            ),
            Feature(
                name="gt_boxes_2d_camera",
                dtypes=("int32",),
                fill=-1,
                collate=Concat(),
                target=True,
                prose="For each row of gt_boxes_2d the number of its camera, in the order of `image.cameras` or of the "
                "log; -1 in rows that are padded.",
                **_PER_ROW,
            ),
            Feature(
                name="gt_boxes_2d_box",
                dtypes=("int32",),
                fill=-1,
                collate=Concat(),
                target=True,
                prose="For each row of gt_boxes_2d the number of its box among the frame's own, which is its row of "
                "gt_boxes with the same classes and min_points; -1 in rows that are padded.",
                **_PER_ROW,
            ),
            Feature(
                name="gt_num_boxes_2d",
                dtypes=("int32",),
                shape=(1,),
                units="count",
                frame="none",
                counts="gt_boxes_2d",
                target=True,
                prose="How many rows of gt_boxes_2d are real.",
            ),
        ),
    ),
)
