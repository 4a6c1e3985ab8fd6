"""ego_state and ego_state_valid."""

from __future__ import annotations

from typing import Annotated, Literal

from .. import drawings
from ..checks import finite
from ..errors import SpecError
from ..feature import Feature
from ..group import Group
from ..parameter import About
from .axes import AxesParams
from .presets import STATE

__all__ = ["GROUPS", "EgoStateParams", "StateColumn"]

StateColumn = Literal[
    "velocity_x",
    "velocity_y",
    "velocity_z",
    "speed",
    "acceleration_x",
    "acceleration_y",
    "acceleration_z",
    "specific_force_x",
    "specific_force_y",
    "specific_force_z",
    "angular_rate_x",
    "angular_rate_y",
    "angular_rate_z",
    "steering",
    "moved_x",
    "moved_y",
    "moved_z",
    "orientation_w",
    "orientation_x",
    "orientation_y",
    "orientation_z",
    "world_heading",
    "turned_deg",
]


class EgoStateParams(AxesParams, frozen=True, kw_only=True):
    columns: Annotated[tuple[StateColumn, ...], About("The numbers, in order.")] = (
        *("velocity_x", "velocity_y", "velocity_z"),
        *("acceleration_x", "acceleration_y", "acceleration_z"),
        *("angular_rate_x", "angular_rate_y", "angular_rate_z"),
    )
    source: Annotated[
        Literal["poses", "signals", "auto"],
        About(
            "Where velocity, acceleration, specific force and angular rate come from. poses: differences of the log's "
            "poses; signals: the first signal of the log that measures each, such as a CAN bus; auto: a signal where "
            "the log has one that measures it, else poses. Steering is only of signals, and how far it moved, heading "
            "and orientation only of poses."
        ),
    ] = "poses"
    signal: Annotated[
        str | None, About("The only signal to take, by its name; null: any of the log that measures what is wanted.")
    ] = None
    moment: Annotated[
        Literal["interpolated", "before", "after"],
        About(
            "Which message of a signal. interpolated: between the two around the reference time; before: the last at "
            "or before it; after: the first after it, or the last where there is none."
        ),
    ] = "interpolated"
    tolerance_s: Annotated[
        float | None,
        About("A message further from the reference time than this says nothing; null: however far.", "s", least=0),
    ] = 0.2
    differences: Annotated[
        Literal["central", "backward"],
        About(
            "How poses are differentiated, with h for `half_width_s`. central: (p(t+h) - p(t-h)) / 2h, and "
            "(p(t+h) - 2 p(t) + p(t-h)) / h^2 for the acceleration; where one side is not known, as at the ends of a "
            "log, from the other. backward: (3 p(t) - 4 p(t-h) + p(t-2h)) / 2h and (p(t) - 2 p(t-h) + p(t-2h)) / h^2, "
            "never from what comes after the reference time; turns likewise, as rotation vectors in the axes at t."
        ),
    ] = "central"
    half_width_s: Annotated[float, About("How far apart the poses are that are compared.", "s")] = 0.25
    frames_back: Annotated[
        int,
        About(
            "moved and turned_deg are since the frame so many before this one; 0 at the start of a log.",
            "count",
            least=1,
        ),
    ] = 1
    required: Annotated[
        bool,
        About(
            "true: a log without what a column is made of is an error; false: the column is 0 and so is its "
            "ego_state_valid, which is reported once."
        ),
    ] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.columns:
            raise SpecError("columns must name one or more numbers")
        if not 1e-3 <= self.half_width_s <= 1e3:
            raise SpecError(f"half_width_s must be from 0.001 to 1000 s, got {self.half_width_s:g}")
        if self.tolerance_s is not None:
            finite("tolerance_s", (self.tolerance_s,))

    def dims(self) -> dict[str, int]:
        return {"F": len(self.columns)}

    def decided_by(self, dim: str) -> tuple[str, ...]:
        return ("columns",)


GROUPS = (
    Group(
        name="ego_state",
        params=EgoStateParams(),
        drawing=drawings.ego_state,
        presets=STATE,
        features=(
            Feature(
                name="ego_state",
                dtypes=("float32", "float64"),
                shape=("F",),
                units="mixed",
                frame="reference",
                prose="How the vehicle moves at the reference time: vectors along the axes of the frame of reference. "
                "In training velocities, accelerations and forces turn and scale with what a draw does, rates turn, "
                "and all are mirrored with it; moved, orientation, heading and turned_deg are of the world and stay.",
            ),
            Feature(
                name="ego_state_valid",
                dtypes=("uint8",),
                shape=("F",),
                units="flag",
                frame="none",
                prose="Whether each number of ego_state is known; those that are not are 0.",
            ),
        ),
    ),
)
