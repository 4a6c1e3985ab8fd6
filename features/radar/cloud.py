"""The radar detections behind every radar tensor: their parameters, columns and states."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

import msgspec

from ..checks import distinct, finite
from ..errors import SpecError
from ..grid import Grid
from ..parameter import About
from ..reference import ReferenceParams

__all__ = [
    "AROUND",
    "BLOCKS",
    "CODES_OF",
    "FILTERS",
    "RADAR_COLUMNS",
    "STATES",
    "RadarCloudParams",
    "RadarColumn",
    "StateFilter",
    "width_of",
]

RadarColumn = Literal[
    "x",
    "y",
    "z",
    "rcs",
    "vx",
    "vy",
    "vx_comp",
    "vy_comp",
    "v_radial",
    "v_radial_comp",
    "time_lag",
    "sweep",
    "azimuth",
    "range",
    "dyn_prop",
    "ambig_state",
    "invalid_state",
    "pdh0",
    "id",
    "is_quality_valid",
    "x_rms",
    "y_rms",
    "vx_rms",
    "vy_rms",
    "scan",
    "dyn_prop_onehot",
    "ambig_state_onehot",
    "invalid_state_onehot",
    "pdh0_ordinal",
]

RADAR_COLUMNS = About("What a row holds, in order; a block of columns counts as one.")

STATES: Mapping[str, Mapping[int, str]] = MappingProxyType(
    {
        "dyn_prop": MappingProxyType(
            {
                0: "moving",
                1: "stationary",
                2: "oncoming",
                3: "stationary candidate",
                4: "unknown",
                5: "crossing stationary",
                6: "crossing moving",
                7: "stopped",
            }
        ),
        "ambig_state": MappingProxyType(
            {0: "invalid", 1: "ambiguous", 2: "staggered ramp", 3: "unambiguous", 4: "stationary candidates"}
        ),
        "invalid_state": MappingProxyType(
            {
                0: "valid",
                1: "invalid, low RCS",
                2: "invalid, near-field artefact",
                3: "invalid, far-range cluster not confirmed in near range",
                4: "valid, low RCS",
                5: "reserved",
                6: "invalid, mirrored",
                7: "invalid, outside the field of view",
                8: "valid, azimuth corrected for elevation",
                9: "valid, high child probability",
                10: "valid, high probability of a 50 degree artefact",
                11: "valid, no local maximum",
                12: "valid, high artefact probability",
                13: "reserved",
                14: "invalid, harmonics",
                15: "valid, beyond 95 m without a local maximum in near range",
                16: "valid, high multi-target probability",
                17: "valid, suspicious angle",
            }
        ),
        "pdh0": MappingProxyType(
            {
                0: "invalid",
                1: "below 25 %",
                2: "below 50 %",
                3: "below 75 %",
                4: "below 90 %",
                5: "below 99 %",
                6: "below 99.9 %",
                7: "up to 100 %",
            }
        ),
    }
)
"""Column of codes -> code -> what it means, as the ARS 408 of nuScenes gives them."""

CODES_OF: Mapping[str, str] = MappingProxyType(
    {
        "dyn_prop_onehot": "dyn_prop",
        "ambig_state_onehot": "ambig_state",
        "invalid_state_onehot": "invalid_state",
        "pdh0_ordinal": "pdh0",
    }
)
"""Block of columns -> the column of codes that it shows."""

BLOCKS: Mapping[str, int] = MappingProxyType(
    {block: len(STATES[codes]) - block.endswith("_ordinal") for block, codes in CODES_OF.items()}
)
"""Block -> how many columns it has: a one-hot as many as there are codes, an ordinal one for each step above 0."""


def width_of(columns: tuple[RadarColumn, ...]) -> int:
    """Returns how many numbers a row of these columns has."""
    return sum(BLOCKS.get(column, 1) for column in columns)


class StateFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which detections are kept, by their states; a column that is null is not looked at."""

    invalid_state: Annotated[tuple[int, ...] | None, About("The codes that are kept; null: all.", "code")] = None
    dyn_prop: Annotated[tuple[int, ...] | None, About("The codes that are kept; null: all.", "code")] = None
    ambig_state: Annotated[tuple[int, ...] | None, About("The codes that are kept; null: all.", "code")] = None

    def __post_init__(self) -> None:
        for name, codes in self.looked_at().items():
            known = STATES[name]
            if not codes or len(set(codes)) != len(codes):
                raise SpecError(f"{name} must be one or more codes, each once, got {list(codes)}")
            wrong = [code for code in codes if code not in known]
            if wrong:
                listed = ", ".join(f"{code} {meaning}" for code, meaning in known.items())
                raise SpecError(f"{name}: {wrong[0]} is not a state; there are {listed}")

    def looked_at(self) -> dict[str, tuple[int, ...]]:
        """Returns column -> the codes that are kept, of the columns that are looked at."""
        return {name: codes for name, codes in msgspec.structs.asdict(self).items() if codes is not None}


FILTERS: Mapping[str, StateFilter] = MappingProxyType(
    {
        "none": StateFilter(),
        "devkit": StateFilter((0,), (0, 1, 2, 3, 4, 5, 6), (3,)),
        "crn": StateFilter((0, 4, 8, 9, 10, 11, 12, 15, 16, 17), None, (3,)),
    }
)
"""Name of a published filter -> what it keeps: nuScenes' devkit's default, and CRN's."""

AROUND = Grid(range=(-51.2, -51.2, -5.0, 51.2, 51.2, 3.0), voxel=(0.8, 0.8, 8.0))


class RadarCloudParams(ReferenceParams, frozen=True, kw_only=True):
    """The radar detections behind a feature. Features with equal values here share one cloud."""

    sensors: Annotated[
        tuple[str, ...] | None,
        About(
            "The radars to take; null: all that the log has. One that the log lacks has no detections, which is "
            "reported once; where the log has others and none of these, that is an error."
        ),
    ] = None
    num_sweeps: Annotated[int, About("Cycles of each radar, newest first.", "count", least=1)] = 6
    newest: Annotated[
        Literal["before", "nearest"],
        About(
            "Which cycle of a radar is its newest. before: the last one at or before the reference time, all there is "
            "on the road; nearest: the one nearest to it, which may be later and then has a negative time_lag, as "
            "those of nuScenes' samples, with which its devkit and published models begin."
        ),
    ] = "before"
    sweeps: Annotated[
        Literal["all", "keyframes"],
        About(
            "all: the newest cycles; keyframes: of each of the log's newest frames the cycle that was its newest, as "
            "nuScenes' annotated samples."
        ),
    ] = "all"
    sweep_step: Annotated[int, About("Only every so many-th of these cycles, beginning with the newest.", least=1)] = 1
    compensate: Annotated[
        Literal["per_sweep", "none"],
        About(
            "per_sweep: a cycle's places move by the ego motion since its stamp; none: they stay where they were "
            "measured from, as if the vehicle had stood still."
        ),
    ] = "per_sweep"
    velocity_axes: Annotated[
        Literal["reference", "mount", "sensor"],
        About(
            "vx, vy, vx_comp and vy_comp are turned, never shifted. reference: into the frame of reference; mount: by "
            "how the sensors are mounted alone, as if the vehicle had not turned since the cycle (CRN); sensor: not at "
            "all, as nuScenes' devkit leaves them."
        ),
    ] = "reference"
    filter: Annotated[
        Literal["devkit", "crn", "none"] | StateFilter,
        About(
            "Which detections are kept, by their states. devkit: invalid_state 0, dyn_prop 0 to 6, ambig_state 3; crn: "
            "invalid_state 0 4 8 9 10 11 12 15 16 17, ambig_state 3; or codes of your own. Of a radar that has no such "
            "column all are kept, which is reported once; with `required` it is an error. So is a record's code that "
            "is none of the published ones."
        ),
    ] = "devkit"
    advance_by_velocity: Annotated[
        bool, About("true: places move on by vx_comp and vy_comp times time_lag, as if each thing kept its speed.")
    ] = False
    lag_from: Annotated[
        Literal["reference", "newest_cycle"],
        About(
            "What time_lag counts from: the reference time, or the newest cycle of the same radar in this frame "
            "(BEVFusion)."
        ),
    ] = "reference"
    remove_close: Annotated[
        float,
        About(
            "A detection with |x| and |y| below this in its sensor's frame is dropped, whatever its height.",
            "m",
            least=0,
        ),
    ] = 0.0
    min_distance: Annotated[
        float,
        About(
            "Detections up to this far from the origin of the frame of reference, in its xy plane and after they are "
            "advanced, are dropped; 0: none.",
            "m",
            least=0,
        ),
    ] = 0.0
    max_distance: Annotated[float | None, About("The same from this distance on; null: none.", "m", least=0)] = None
    rcs_range: Annotated[
        tuple[float, float] | None,
        About(
            "rcs becomes (rcs - low) / (high - low), of low and high; null: dBsm, as recorded. What is missing or not "
            "finite is 0 either way.",
            "dBsm",
        ),
    ] = None
    velocity_range: Annotated[
        tuple[float, float] | None,
        About("The same for vx, vy, vx_comp, vy_comp, v_radial and v_radial_comp; null: metres per second.", "m/s"),
    ] = None
    nonfinite_features: Annotated[
        Literal["zero", "drop"],
        About("Where rcs or a velocity is not finite: 0 is shown, or the detection is dropped."),
    ] = "zero"
    missing_columns: Annotated[
        Literal["fill", "error"],
        About(
            "A column that a radar does not have, and that does not follow from what it has: it is 0, of states no "
            "column is 1; or an error that says what there is."
        ),
    ] = "error"
    required: Annotated[
        bool,
        About(
            "true: errors, instead of empty tensors, for a frame without a cycle and for a radar of `sensors` that the "
            "log does not have."
        ),
    ] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        finite("remove_close", (self.remove_close,))
        finite("min_distance", (self.min_distance,))
        if self.max_distance is not None:
            finite("max_distance", (self.max_distance,))
            if self.max_distance < self.min_distance:
                raise SpecError(f"max_distance must be at least min_distance, got {self.max_distance:g}")
        if self.sensors is not None:
            distinct("sensors", self.sensors)
        _check_span("rcs_range", self.rcs_range)
        _check_span("velocity_range", self.velocity_range)

    def cloud(self) -> RadarCloudParams:
        """Returns only the cloud's own parameters."""
        own = {name: getattr(self, name) for name in RadarCloudParams.__struct_fields__}
        # without the ground where no place depends on it
        return RadarCloudParams(**own | msgspec.structs.asdict(self.place_key()))

    def state_filter(self) -> StateFilter:
        """Returns which states are kept, of a published filter too."""
        return self.filter if isinstance(self.filter, StateFilter) else FILTERS[self.filter]

    def meaning(self) -> dict[str, Any]:
        # a published filter is the codes that it keeps: a word would mean the same whatever becomes of them
        kept = {name: sorted(codes) for name, codes in self.state_filter().looked_at().items()}
        return {**super().meaning(), "filter": kept}

    def count_key(self) -> RadarCloudParams:
        """Returns the cloud as far as it decides how many detections there are, for `size_key`."""
        # what a number is brought to, and whether nothing is an error, moves no detection in or out
        place = msgspec.structs.asdict(self.place_key())
        same: dict[str, Any] = {"rcs_range": None, "velocity_range": None, "missing_columns": "error"}
        same |= {"filter": self.state_filter(), "required": False}
        return msgspec.structs.replace(self.cloud(), **place, **same)


def _check_span(name: str, span: tuple[float, float] | None) -> None:
    if span is not None:
        finite(name, span)
        if not span[0] < span[1]:
            raise SpecError(f"{name} must be low before high, got {list(span)}")
