"""What those features of the ego share that depend on the axes which tensors are in."""

from __future__ import annotations

from typing import Annotated, Any

from ..parameter import About
from ..params import Params
from ..reference import ReferenceParams
from ..vocabulary import InputFrame

__all__ = ["AxesParams"]


class AxesParams(Params, frozen=True, kw_only=True):
    """In which axes."""

    frame: Annotated[
        InputFrame,
        About(
            "ego: the vehicle at the reference time; lidar, radar: the own axes of the primary lidar or radar at that "
            "time; ego_ground: here the same as ego, beside tensors whose z is the height above the ground."
        ),
    ] = "ego"

    def reference(self) -> ReferenceParams:
        """Returns the key of the builders' stage `Reference`."""
        return ReferenceParams(frame=self.frame)

    def parts(self) -> dict[str, Any]:
        return {"frame": self.frame}
