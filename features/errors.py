"""What can be wrong with a spec or a schema. All are ValueErrors; `SpecError` catches them all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Self

__all__ = ["BuildError", "RowError", "RowFault", "SchemaMismatch", "SpecError", "UnknownFeature"]


class SpecError(ValueError):
    """A spec asks for something that cannot be met; the message names the row and what is offered."""


RowFault = Literal["not a row", "missing key", "unknown key", "name", "dtype", "shape", "dim", "params", "frame"]


class RowError(SpecError):
    """A bad spec row. `fault`, `name` and `got` say the same as the message, for doors with their own words."""

    def __init__(self, message: str, fault: RowFault, name: Any, got: Any) -> None:
        super().__init__(message)
        self.fault = fault
        self.name = name
        """The row's name, or what stands in its place."""
        self.got = got
        """What is at fault: a key, a dtype, a size."""

    def __reduce__(self) -> tuple[Any, ...]:
        # errors cross processes; BaseException would make this one of its message alone
        return type(self), (str(self), self.fault, self.name, self.got)


_ADDING = "docs/builder.md shows how to add one (A feature of your own)"


_FAMILIES = {"image": "camera", "picture": "camera", "agents": "agent", "target": "gt"}
"""A word with which a name may begin -> the family that is meant."""


_OTHER_NAMES = {
    "lidar2img": "camera_projection",
    "lidar2image": "camera_projection",
    "cam2img": "camera_intrinsics",
    "intrinsics": "camera_intrinsics",
    "K": "camera_intrinsics",
    "img_aug_matrix": "camera_image_affine",
    "post_rots": "camera_image_affine",
    "post_trans": "camera_image_affine",
    "sensor2ego": "camera_extrinsics",
    "cam2ego": "camera_extrinsics",
    "camera2ego": "camera_extrinsics",
    "imgs": "camera_images",
    "img": "camera_images",
    "can_bus": "ego_state",
    "lidar_aug_matrix": "ref_from_ego",
    "boxes": "gt_boxes",
    "labels": "gt_labels",
    "gt_bboxes_3d": "gt_boxes",
    "gt_labels_3d": "gt_labels",
    "gt_masks_bev": "gt_map",
    "heatmap": "gt_heatmap",
    "polylines": "map_polylines",
    "lane_graph": "lane_ctrs",
    "agents": "agent_history",
}
"""What published code calls tensors -> ours."""


def _family(name: object) -> str:
    """lidar of lidar_points."""
    word = str(name).partition("_")[0].lower().removesuffix("s")
    return _FAMILIES.get(word, word)


class UnknownFeature(SpecError):
    """A name that no feature, group or part of the schema has."""

    @classmethod
    def of(cls, what: str, name: object, known: Iterable[str]) -> Self:
        """Returns the error, with the nearest of the known names of its family, the word before the underscore.

        Another sensor's tensors are never what was meant.
        """
        names, family = list(known), _family(name)
        meant = _OTHER_NAMES.get(str(name))
        if meant in names:
            return cls(f"no {what} '{name}'; that is '{meant}' here")
        own = [one for one in names if _family(one) == family]
        import difflib

        near = difflib.get_close_matches(str(name), own or names, 1)
        if near:
            hint = f"did you mean '{near[0]}'?"
        elif own:
            hint = f"for {family} there are {', '.join(own)}; {_ADDING}"
        else:
            hint = f"there are {', '.join(names)}"
        return cls(f"no {what} '{name}'; {hint}")


class BuildError(ValueError):
    """A stage of a builder failed, ours or a plug-in's; the message names it and its group, the cause is what it
    raised."""


class SchemaMismatch(SpecError):
    """A package was made for features that mean something else today."""
