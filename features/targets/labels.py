"""The labelled boxes behind a target: which of them, of which classes, in which axes."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, Any, Literal

from ..classes import CLASSES, Classes, LabelClass, check_classes, classes_of, meaning_of
from ..grid import check_range
from ..parameter import About
from ..reference import ReferenceParams

__all__ = ["LabelsParams"]


class LabelsParams(ReferenceParams, frozen=True, kw_only=True):
    """The labelled boxes behind a target. Features with equal values here share them."""

    classes: Annotated[Classes, CLASSES] = "road_users"
    box_range: Annotated[
        tuple[float, float, float, float, float, float] | None,
        About("xmin ymin zmin xmax ymax zmax, half-open: a box whose centre is outside is left out; null: all.", "m"),
    ] = None
    box_range_axes: Annotated[Literal["xyz", "xy"], About("Along which axes `box_range` is looked at.")] = "xyz"
    min_points: Annotated[
        int,
        About(
            "A box in which the log counted fewer lidar points is left out; a log that counted none keeps all, which "
            "is reported once.",
            "count",
            least=0,
        ),
    ] = 0
    required: Annotated[
        bool,
        About("true: a frame without labels is an error; false: it has no boxes, and gt_valid is 0, reported once."),
    ] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_classes("classes", self.classes)
        if self.box_range is not None:
            check_range(self.box_range)

    def parts(self) -> dict[str, Any]:
        return {**super().parts(), "classes": self.classes}

    def labels(self) -> LabelsParams:
        """Returns only these parameters: the key of the builders' stage `LabelBoxes`."""
        return LabelsParams(**{name: getattr(self, name) for name in LabelsParams.__struct_fields__})

    def whole_classes(self) -> tuple[LabelClass, ...]:
        """Returns the classes in full, in the order of their numbers."""
        return classes_of(self.classes)

    def count_key(self) -> Hashable:
        """Returns what decides how many boxes there are, for `size_key`."""
        axes = None if self.box_range is None else self.place_key()
        return (self.whole_classes(), self.box_range, self.box_range_axes, self.min_points, axes)

    def meaning(self) -> dict[str, Any]:
        return {**self.to_dict(), "classes": meaning_of(self.classes)}
