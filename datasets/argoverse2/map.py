"""Argoverse 2's HD map of one log: the vector map, with the ground height beside it. City frame, metres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from perceptum.inputs import BrokenRecord, HDMap, LaneGraph, Matrix, Shapes

from ..reading.files import one_file
from ..reading.typed_json import read_json, read_table_sizes
from ..reading.unread import Unread
from .ground import GROUND_FILE, read_ground

__all__ = ["midline", "read_map", "read_vector_map"]


MIDLINE_POINTS = 10
_FARTHEST_M = 1e9
_UNPAINTED = ("NONE", "UNKNOWN")


class Point(msgspec.Struct):
    x: float
    y: float
    z: float = float("nan")


class LaneSegment(msgspec.Struct):
    id: int
    is_intersection: bool
    lane_type: str
    left_lane_boundary: list[Point]
    right_lane_boundary: list[Point]
    left_lane_mark_type: str = "UNKNOWN"
    right_lane_mark_type: str = "UNKNOWN"
    successors: list[int] = []
    left_neighbor_id: int | None = None
    right_neighbor_id: int | None = None
    centerline: list[Point] | None = None


class DrivableArea(msgspec.Struct):
    id: int
    area_boundary: list[Point]


class Crossing(msgspec.Struct):
    id: int
    edge1: list[Point]
    edge2: list[Point]


class VectorMap(msgspec.Struct):
    lane_segments: dict[str, LaneSegment]
    drivable_areas: dict[str, DrivableArea]
    pedestrian_crossings: dict[str, Crossing]


_OURS = ("log_map_archive_*.json", "*___img_Sim2_city.json")
_OTHERS = ("*map*.json", "*map*.xml", "*.npy", "*.png")


def read_map(folder: Path) -> HDMap | None:
    """Returns the map in a log's map/ folder; None where there is neither a vector map nor a ground. Raises LogErrors.

    Files of other maps in the folder, and tables of the vector map that are not read, are named in a warning.
    """
    unread = Unread(folder)
    path, ground = one_file(folder, _OURS[0]), read_ground(folder)
    for file in sorted({file for pattern in _OTHERS for file in folder.glob(pattern)}):
        if not any(file.match(pattern) for pattern in (*_OURS, GROUND_FILE)):
            unread.add(f"file {file.name}")
    if path is None:
        told = unread.warn()
        return None if ground is None else HDMap(ground=ground, unread=told)
    layers, lanes = read_vector_map(path)
    for table, count in read_table_sizes(path).items():
        if table not in VectorMap.__struct_fields__:
            unread.add(f"table '{table[:40]}'", count)
    return HDMap(layers=layers, lanes=lanes, ground=ground, unread=unread.warn())


def read_vector_map(path: Path) -> tuple[dict[str, Shapes], LaneGraph]:
    """Returns the layers drivable_area, crossing, lane and intersection (polygons), lane_divider (lines), and the lane
    graph. An intersection is made of its lanes."""
    vector = read_json(path, VectorMap, "the map is missing")
    segments = list(vector.lane_segments.values())
    left = {str(s.id): _line(path, s.id, s.left_lane_boundary) for s in segments}
    right = {str(s.id): _line(path, s.id, s.right_lane_boundary) for s in segments}
    if len(left) != len(segments):
        raise BrokenRecord(f"{path}: {len(segments)} lane segments have only {len(left)} ids, wanted one each")
    lanes = {id: np.concatenate([left[id], right[id][::-1]]) for id in left}
    layers = {
        "drivable_area": _polygons(path, {str(a.id): a.area_boundary for a in vector.drivable_areas.values()}),
        "crossing": _polygons(
            path, {str(c.id): [*c.edge1, *reversed(c.edge2)] for c in vector.pedestrian_crossings.values()}
        ),
        "lane": Shapes.of("polygon", lanes),
        "intersection": Shapes.of("polygon", {str(s.id): lanes[str(s.id)] for s in segments if s.is_intersection}),
        "lane_divider": _dividers(segments, left, right),
    }
    return layers, _lanes(path, segments, left, right)


def _points(path: Path, id: int | str, points: Sequence[Point]) -> Matrix:
    array = np.array([(p.x, p.y, p.z) for p in points], dtype=np.float64).reshape(-1, 3)
    # z may be NaN, which says that it is not known
    if not (np.abs(array[:, :2]) <= _FARTHEST_M).all() or (np.abs(array[:, 2]) > _FARTHEST_M).any():
        raise BrokenRecord(f"{path}: {id} has a point that is not finite or beyond 1e9 m")
    return array


def _line(path: Path, id: int, points: Sequence[Point]) -> Matrix:
    if len(points) < 2:
        raise BrokenRecord(f"{path}: lane segment {id} has a line of {len(points)} points, wanted at least 2")
    return _points(path, id, points)


def _polygons(path: Path, rings: Mapping[str, Sequence[Point]]) -> Shapes:
    shapes = {}
    for id, ring in rings.items():
        points = _points(path, id, ring)
        if len(points) > 1 and np.array_equal(points[0], points[-1], equal_nan=True):
            points = points[:-1]
        if len(points) < 3:
            raise BrokenRecord(f"{path}: area {id} has {len(points)} corners, wanted at least 3")
        shapes[id] = points
    return Shapes.of("polygon", shapes)


def _dividers(segments: Sequence[LaneSegment], left: Mapping[str, Matrix], right: Mapping[str, Matrix]) -> Shapes:
    """The painted lane boundaries as lines, each once: neighbours share theirs, perhaps in the other direction."""
    lines: dict[bytes, tuple[str, Matrix]] = {}
    for s in segments:
        for side, mark, line in (
            ("left", s.left_lane_mark_type, left[str(s.id)]),
            ("right", s.right_lane_mark_type, right[str(s.id)]),
        ):
            if mark not in _UNPAINTED:
                key = min(line.tobytes(), line[::-1].tobytes())
                lines.setdefault(key, (f"{s.id}/{side}", line))
    return Shapes.of("line", dict(lines.values()))


def _lanes(
    path: Path, segments: Sequence[LaneSegment], left: Mapping[str, Matrix], right: Mapping[str, Matrix]
) -> LaneGraph:
    """Lanes that lie outside this log's map are left out of successors, and are -1 as neighbours."""
    row = {s.id: i for i, s in enumerate(segments)}
    centre = {
        str(s.id): _line(path, s.id, s.centerline) if s.centerline else midline(left[str(s.id)], right[str(s.id)])
        for s in segments
    }
    after = [(row[s.id], row[next_id]) for s in segments for next_id in s.successors if next_id in row]
    beside = [[row.get(id, -1) if id is not None else -1 for id in _sides(s)] for s in segments]
    return LaneGraph(
        centerlines=Shapes.of("line", centre),
        left_boundaries=Shapes.of("line", left),
        right_boundaries=Shapes.of("line", right),
        successors=np.array(after, dtype=np.int64).reshape(-1, 2),
        neighbors=np.array(beside, dtype=np.int64).reshape(-1, 2),
        is_intersection=np.array([s.is_intersection for s in segments], dtype=np.bool_),
        lane_type=np.array([s.lane_type for s in segments], dtype=np.str_),
    )


def _sides(segment: LaneSegment) -> tuple[int | None, int | None]:
    return segment.left_neighbor_id, segment.right_neighbor_id


def midline(left: Matrix, right: Matrix) -> Matrix:
    """Returns (10, 3): the mean of both boundaries, each resampled to 10 points at equal arc lengths."""
    return (_resampled(left) + _resampled(right)) / 2


def _resampled(line: Matrix) -> Matrix:
    # arc length in the plane, where z is not known
    steps = np.linalg.norm(np.diff(np.nan_to_num(line), axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.linspace(0.0, along[-1], MIDLINE_POINTS)
    return np.stack([np.interp(wanted, along, line[:, axis]) for axis in range(3)], axis=1)
