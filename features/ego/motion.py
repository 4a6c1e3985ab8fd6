"""ego_motion and ego_motion_valid."""

from __future__ import annotations

from typing import Annotated, Literal

from .. import drawings
from ..errors import SpecError
from ..feature import Feature
from ..group import Group
from ..parameter import About
from .axes import AxesParams
from .presets import MOTION

__all__ = ["GROUPS", "EgoMotionParams"]


class EgoMotionParams(AxesParams, frozen=True, kw_only=True):
    num_past: Annotated[int, About("How many moments: T of the tensor.", "count", least=1)] = 1
    times: Annotated[
        Literal["frames", "sweeps", "seconds"],
        About(
            "Which moments. frames: of the log's frames before this one every `step`-th; sweeps: of the primary "
            "lidar's sweeps at or before the reference time, as bird's-eye views over time show them; seconds: every "
            "`dt_s` before the reference time."
        ),
    ] = "frames"
    step: Annotated[
        int, About("Of frames and sweeps only every so many-th, counted from the newest.", "count", least=1)
    ] = 1
    dt_s: Annotated[float, About('How far apart the moments of `times` "seconds" are.', "s")] = 0.5
    include_now: Annotated[
        bool,
        About(
            "true: the newest of the moments is the frame itself, whose matrix is the identity, or the newest sweep; "
            "false: it is the one before."
        ),
    ] = False
    oldest_first: Annotated[bool, About("true: the last of the moments is the newest; false: the first is.")] = False
    direction: Annotated[
        Literal["ref_from_past", "past_from_ref"],
        About(
            "ref_from_past takes a place by the axes of then to where it lies by those of now; past_from_ref is its "
            "inverse, which samples a past bird's-eye view at the cells of now."
        ),
    ] = "ref_from_past"
    planar: Annotated[
        Literal["no", "yaw", "drop_z"],
        About(
            "no: the whole motion; yaw: only x, y and the yaw, a turn about z; drop_z: the rows and columns of x and "
            "y as they are, as BEVDet4D takes them, which of a tilted vehicle is not quite a rotation."
        ),
    ] = "no"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.dt_s <= 1e3:
            raise SpecError(f"dt_s must be above 0 s and at most 1000 s, got {self.dt_s:g}")

    def dims(self) -> dict[str, int]:
        return {"T": self.num_past}

    def decided_by(self, dim: str) -> tuple[str, ...]:
        return ("num_past",)


GROUPS = (
    Group(
        name="ego_motion",
        params=EgoMotionParams(),
        drawing=drawings.ego_motion,
        presets=MOTION,
        features=(
            Feature(
                name="ego_motion",
                dtypes=("float32", "float64"),
                shape=("T", 4, 4),
                units="m",
                frame="reference",
                prose="How the vehicle moved: inverse(world_from_ego now) @ world_from_ego then, worked out in "
                "float64, between the axes of then and of now. The identity where a moment is not known. In training "
                "what a draw does is done at both moments, so that what was built of the past by the same draw is "
                "taken to the right place.",
            ),
            Feature(
                name="ego_motion_valid",
                dtypes=("uint8",),
                shape=("T",),
                units="flag",
                frame="none",
                prose="Whether the motion since each moment of ego_motion is known: 0 before the start of a log, in a "
                "gap of its poses, and in a log whose frames are unrelated.",
            ),
        ),
    ),
)
