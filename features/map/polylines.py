"""map_polylines and what belongs to its rows: the map's lines and outlines as vectors."""

from __future__ import annotations

from typing import Annotated, Literal

from .. import drawings
from ..checks import check_area, distinct, finite
from ..collate import Concat
from ..errors import SpecError
from ..feature import Axes, Feature
from ..group import Group
from ..parameter import About
from .lanes import LaneParams
from .layers import check_names
from .vector_presets import POLYLINES

__all__ = ["GROUPS", "LANE_LINES", "PolylineColumn", "PolylinesParams", "width_of"]

PolylineColumn = Literal[
    "x",
    "y",
    "z",
    "dx",
    "dy",
    "dz",
    "dir_x",
    "dir_y",
    "dir_z",
    "x_prev",
    "y_prev",
    "z_prev",
    "polyline",
    "layer",
    "layer_onehot",
    "intersection",
    "turn_left",
    "turn_right",
    "traffic_control",
]

LANE_LINES = ("lane_centerline", "left_boundary", "right_boundary", "lane_boundary")
"""The layers that are made of the lane graph; all others are layers of the map."""


class PolylinesParams(LaneParams, frozen=True, kw_only=True):
    layers: Annotated[
        tuple[str, ...],
        About(
            "Which lines, in an order that numbers them in map_polyline_type. Of the lanes: lane_centerline, "
            "left_boundary, right_boundary, and lane_boundary, the left and the right one of each lane in turn. Others "
            "are layers of the map by name, of which docs/maps.md has a table: lines as they are, areas by their "
            "outlines."
        ),
    ] = ("lane_centerline", "left_boundary", "right_boundary", "crossing")
    order: Annotated[
        Literal["nearest", "map"],
        About(
            "nearest: the nearest first, of equally near ones that with the lower map_polyline_id, then the earlier "
            "layer; map: layer by layer, each in the map's order."
        ),
    ] = "nearest"
    max_polylines: Annotated[
        int | None,
        About("At most this many, the first ones; null: all. Where `counts` are given they decide.", "count", least=1),
    ] = 256
    counts: Annotated[
        tuple[int, ...] | None,
        About(
            "Per layer how many rows it has: first those of the first layer in their order, padded where it has fewer, "
            "then those of the next. null: all layers in one order.",
            "count",
        ),
    ] = None
    radius: Annotated[
        float | None,
        About("Only polylines with a point not further than this from `centre`, in the plane; null: any.", "m"),
    ] = 50.0
    range: Annotated[
        tuple[float, float, float, float] | None,
        About("Only polylines with a point in xmin ymin xmax ymax, half-open; null: any.", "m"),
    ] = None
    points_beyond: Annotated[
        Literal["kept", "masked"],
        About(
            "What becomes of a chosen polyline's points beyond `radius` or `range`. masked: 0, and so is their mask."
        ),
    ] = "kept"
    centre: Annotated[
        tuple[float, float], About("From where distances are measured: x, y in the frame of reference.", "m")
    ] = (0.0, 0.0)
    distance_to: Annotated[
        Literal["nearest_point", "mean_point"],
        About("How far a polyline is: its nearest point, or the mean of its points, in the plane."),
    ] = "nearest_point"
    boundaries_by: Annotated[
        Literal["own", "lane"],
        About(
            "By which points a lane's boundaries are chosen and ordered. own: their own; lane: those of their lane's "
            "centreline, so that the boundaries of a layer are in the order of the lanes."
        ),
    ] = "own"
    points_per_polyline: Annotated[int, About("Points, or vectors, of a row.", "count", least=1)] = 20
    resample: Annotated[
        Literal["arc_length", "number", "spacing", "recorded"],
        About(
            "Which points a line has. arc_length: at equal distances along it in the plane, both ends among them; "
            "number: at equal steps of the number of its recorded points, as torch's interpolate without "
            "align_corners; spacing: every `spacing` along it and its end, cut into rows of `points_per_polyline`; "
            "recorded: its own, the first ones."
        ),
    ] = "arc_length"
    spacing: Annotated[float, About('The distance of points where `resample` is "spacing".', "m")] = 1.0
    outlines: Annotated[
        Literal["resampled", "recorded"],
        About("Which points the outline of an area has. resampled: as `resample` says; recorded: its own."),
    ] = "resampled"
    closed: Annotated[bool, About("Whether an outline ends with its first point again.")] = True
    elements: Annotated[
        Literal["points", "vectors"],
        About(
            "points: a step of a row is a point, and its previous point the one before it, of the first itself; "
            "vectors: a step leads from a point, its previous one, to the next, and there are "
            "`points_per_polyline` of them."
        ),
    ] = "points"
    columns: Annotated[tuple[PolylineColumn, ...], About("What a step of a row holds, in order.")] = (
        *("x", "y", "z", "dx", "dy", "dz"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        distinct("layers", self.layers)
        distinct("columns", self.columns)
        if any(not name or name != name.strip() for name in self.layers):
            raise SpecError(f"layers must be names, got {list(self.layers)}")
        check_names("layers", self.layers, LANE_LINES)
        if "lane_boundary" in self.layers and {"left_boundary", "right_boundary"} & {*self.layers}:
            raise SpecError("layers: lane_boundary is left_boundary and right_boundary in one; take either")
        if self.counts is not None and (len(self.counts) != len(self.layers) or min(self.counts) < 1):
            raise SpecError(
                f"counts must be a number of at least 1 for each of the {len(self.layers)} layers, "
                f"got {list(self.counts)}"
            )
        if self.radius is not None and not self.radius > 0:
            raise SpecError(f"radius must be above 0, got {self.radius:g}")
        if not self.spacing > 0:
            raise SpecError(f"spacing must be above 0, got {self.spacing:g}")
        finite("radius and spacing", (self.radius or 1.0, self.spacing))
        finite("centre", self.centre)
        if self.range is not None:
            check_area("range", self.range)
        if self.points_beyond == "masked" and self.radius is None and self.range is None:
            raise SpecError('points_beyond "masked" wants a radius or a range')

    def dims(self) -> dict[str, int]:
        padded = {} if self.counts is None else {"L": sum(self.counts)}
        return {"P": self.points_per_polyline, "F": width_of(self), **padded}

    def decided_by(self, dim: str) -> tuple[str, ...]:
        return {"P": ("points_per_polyline",), "F": ("columns",), "L": ("counts",)}.get(dim, ())

    def cap(self, dim: str) -> int | None:
        return self.max_polylines if dim == "num_polylines" else None


def width_of(params: PolylinesParams) -> int:
    """Returns how many numbers a step of a row holds: a block of columns has several."""
    return sum(len(params.layers) if name == "layer_onehot" else 1 for name in params.columns)


def _rows(params: PolylinesParams) -> str:
    return "num_polylines" if params.counts is None else "L"


def row_axes(params: PolylinesParams) -> Axes:
    """Returns the axis of polylines: the frame decides, or `counts`."""
    return (_rows(params),)


def step_axes(params: PolylinesParams) -> Axes:
    """Returns the axes of the steps of polylines."""
    return (_rows(params), "P")


def value_axes(params: PolylinesParams) -> Axes:
    """Returns the axes of what the steps hold."""
    return (_rows(params), "P", "F")


def place_axes(params: PolylinesParams) -> Axes:
    """Returns the axes of one place for each polyline."""
    return (_rows(params), 3)


GROUPS = (
    Group(
        name="map_polylines",
        params=PolylinesParams(),
        drawing=drawings.map_polylines,
        presets=POLYLINES,
        features=(
            Feature(
                name="map_polylines",
                dtypes=("float32",),
                shape=value_axes,
                units="mixed",
                frame="reference",
                cut="first_rows",
                collate=Concat(),
                prose="The lines of the map around the vehicle, and the outlines of its areas, a row each. Where a map "
                "does not know how high a point is, that is the map's ground there, else the level on which the "
                "vehicle stands. In a mirrored sample of training left and right boundaries are exchanged, and so are "
                "turns. A lane without a boundary has no row for it.",
            ),
            Feature(
                name="map_polyline_mask",
                dtypes=("uint8",),
                shape=step_axes,
                units="flag",
                frame="none",
                cut="first_rows",
                collate=Concat(),
                prose="Which steps of map_polylines are real.",
            ),
            Feature(
                name="map_polyline_type",
                dtypes=("int32",),
                shape=row_axes,
                units="index",
                frame="none",
                fill=-1,
                cut="first_rows",
                collate=Concat(),
                prose="The number of each row's layer in `layers`. Of lane_boundary the left and the right one have "
                "the same.",
            ),
            Feature(
                name="map_polyline_id",
                dtypes=("int64",),
                shape=row_axes,
                units="none",
                frame="none",
                fill=-1,
                cut="first_rows",
                collate=Concat(),
                prose="The number that the map gives to the shape of each row; where a layer's ids are not all whole "
                "numbers, its place in the layer, from 0. Boundaries have that of their lane, as lane_id has it.",
            ),
            Feature(
                name="map_polyline_center",
                dtypes=("float32",),
                shape=place_axes,
                units="m",
                frame="reference",
                cut="first_rows",
                collate=Concat(),
                prose="The mean of the places x, y, z of each row's real steps.",
            ),
            Feature(
                name="map_num_polylines",
                dtypes=("int32",),
                shape=(1,),
                units="count",
                frame="none",
                counts="map_polylines",
                prose="How many rows of map_polylines are real; with `counts`, where padding lies between, all of "
                "them: map_polyline_mask says which are real.",
            ),
        ),
    ),
)
