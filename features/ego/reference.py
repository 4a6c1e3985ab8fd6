"""ref_from_ego."""

from __future__ import annotations

from typing import Annotated, Literal

from .. import drawings
from ..feature import Feature
from ..group import Group
from ..parameter import About
from .axes import AxesParams
from .presets import REFERENCE

__all__ = ["GROUPS", "EgoReferenceParams"]


class EgoReferenceParams(AxesParams, frozen=True, kw_only=True):
    part: Annotated[
        Literal["whole", "change"],
        About(
            "whole: from the ego frame to the axes that tensors are in; change: only what a draw of a training "
            "sample does to places in those axes, the identity without one."
        ),
    ] = "whole"
    inverse: Annotated[bool, About("true: the other way, from the axes that tensors are in.")] = False


GROUPS = (
    Group(
        name="ego_reference",
        params=EgoReferenceParams(),
        drawing=drawings.ego_reference,
        presets=REFERENCE,
        features=(
            Feature(
                name="ref_from_ego",
                dtypes=("float64", "float32"),
                shape=(4, 4),
                units="m",
                frame="reference",
                prose="What takes a place of the ego frame to the axes that tensors are in, augmentation included: "
                "then it may mirror and scale.",
            ),
        ),
    ),
)
