"""The frame of reference of a feature: its parameters, which lidar, radar and all later families share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from .checks import finite
from .parameter import About
from .params import Params
from .vocabulary import InputFrame

__all__ = ["GroundSource", "ReferenceParams"]

GroundSource = Literal["map", "map_or_plane", "map_or_lidar", "plane", "lidar"]


class ReferenceParams(Params, frozen=True, kw_only=True):
    """In which axes a tensor's places and directions are, and where the ground is, for what asks."""

    frame: Annotated[
        InputFrame,
        About(
            "ego: the vehicle at the reference time; lidar, radar: the own axes of the primary lidar or radar at that "
            "time, which is the log's first, of radar tensors the first of their `sensors`; ego_ground: as ego, but z "
            "is the height above the ground below the point."
        ),
    ] = "ego"
    ground: Annotated[
        GroundSource,
        About(
            "Where the ground is, for the frame ego_ground and for height_above_ground. map: by the log's map, its "
            "nearest known place where it has a hole; a log without one is an error. plane: z = `ground_z`. lidar: the "
            "lowest points of the primary lidar's newest sweep within 1.5 m of that plane, in cells of 2 m; that few "
            "are there, since the plane is elsewhere, is reported once. "
            "map_or_plane, map_or_lidar: by the map where a log has one, else the other, which is reported once."
        ),
    ] = "map_or_plane"
    ground_z: Annotated[
        float | None,
        About(
            "The ego frame's z of level ground; null: what is known of the log's dataset (KITTI -1.73, Argoverse 2 "
            "-0.3), else 0.",
            "m",
        ),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ground_z is not None:
            finite("ground_z", (self.ground_z,))

    def reference(self) -> ReferenceParams:
        """Returns only these parameters: the key of the builders' stage `Reference`."""
        return ReferenceParams(**{name: getattr(self, name) for name in ReferenceParams.__struct_fields__})

    def parts(self) -> dict[str, Any]:
        return {"frame": self.frame}

    def place_key(self) -> ReferenceParams:
        """Returns these parameters without what changes nothing here: the ground, where z does not depend on it."""
        return self.reference() if self.frame == "ego_ground" else ReferenceParams(frame=self.frame)
