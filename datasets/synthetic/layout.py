"""Across the street: where lanes, parking, sidewalks and crossings are. Metres to the left of the centre line.

Traffic keeps to the right, so lanes with a negative offset run along the street, those with a positive one against it.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "BIKE_EDGE_M",
    "CROSSING_HALF_M",
    "CURB_M",
    "LANES",
    "LANE_M",
    "PARKING_EDGE_M",
    "SEGMENT_M",
    "WALK_EDGE_M",
    "Lane",
]

SEGMENT_M = 50.0
"""The street is made, and mapped, in pieces of this length along."""
LANE_M = 3.5
PARKING_EDGE_M = 8.5
BIKE_EDGE_M = 2 * LANE_M
CURB_M = 10.8
WALK_EDGE_M = 14.3
CROSSING_HALF_M = 2.0
"""There is a crossing in the middle of segment k where k % 3 == 1."""


class Lane(NamedTuple):
    name: str
    inner_m: float
    """Across of the edge nearer to the centre line."""
    outer_m: float
    lane_type: str

    @property
    def direction(self) -> int:
        """1: along the street, -1: against it."""
        return 1 if self.outer_m < 0 else -1


LANES = (
    Lane("right_inner", -0.0, -LANE_M, "VEHICLE"),
    Lane("right_outer", -LANE_M, -BIKE_EDGE_M, "VEHICLE"),
    Lane("right_bike", -BIKE_EDGE_M, -PARKING_EDGE_M, "BIKE"),
    Lane("left_inner", 0.0, LANE_M, "VEHICLE"),
    Lane("left_outer", LANE_M, BIKE_EDGE_M, "VEHICLE"),
    Lane("left_bike", BIKE_EDGE_M, PARKING_EDGE_M, "BIKE"),
)
