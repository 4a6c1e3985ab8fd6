"""Whether records are as every feature expects them: columns, dtypes, shapes, stamps, numbers that can be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, CameraImage, HDMap, Labels, LidarSweep, RadarSweep, Times

__all__ = ["check_labels", "check_lidar", "check_map", "check_picture", "check_radar", "check_transform"]

_RIGID = 1e-5
"""Datasets publish rotations of 7 digits."""
_FURTHEST_NS = 10**10
_KINDS = {"x": "f", "y": "f", "z": "f", "offset_ns": "i", "return_index": "iu", "image_column": "iu"}
"""Column -> the kinds of dtype that it may have; others are numbers of any kind."""


def check_transform(what: str, transform: NDArray[np.float64]) -> None:
    """Fails where it is not (4, 4) float64, finite and rigid."""
    if transform.shape != (4, 4) or transform.dtype != np.float64:
        raise AssertionError(f"{what} must be (4, 4) float64, got {transform.shape} {transform.dtype}")
    if not np.isfinite(transform).all():
        raise AssertionError(f"{what} must be finite, got {transform.tolist()}")
    rotation = transform[:3, :3]
    rigid = np.allclose(rotation @ rotation.T, np.eye(3), atol=_RIGID) and np.linalg.det(rotation) > 0
    if not rigid or transform[3].tolist() != [0, 0, 0, 1]:
        raise AssertionError(f"{what} must be a rotation and a translation, got {transform.tolist()}")


def check_lidar(what: str, name: str, times: Times, sweep: LidarSweep) -> None:
    _check_stamp(what, sweep.sensor, name, sweep.time_ns, times)
    _check_columns(what, _columns(sweep))
    check_transform(f"{what}: ego_from_sensor", sweep.ego_from_sensor)
    if not (sweep.intensity_scale > 0 and np.isfinite(sweep.intensity_scale)):
        raise AssertionError(f"{what}: intensity_scale must be more than 0, got {sweep.intensity_scale}")
    if sweep.origin.shape != (3,) or not np.isfinite(sweep.origin).all():
        raise AssertionError(f"{what}: origin must be 3 finite numbers, got {sweep.origin.tolist()}")
    if sweep.offset_ns is not None and sweep.offset_ns.size and np.abs(sweep.offset_ns).max() > _FURTHEST_NS:
        raise AssertionError(f"{what}: offset_ns goes to {sweep.offset_ns.max()}, more than 10 s from the stamp")
    rows = sweep.row_of_ring
    if rows is not None and sorted(rows.tolist()) != list(range(len(rows))):
        raise AssertionError(f"{what}: row_of_ring must have every row once, got {rows.tolist()}")
    if rows is not None and sweep.ring is not None and sweep.ring.size and not sweep.ring.max() < len(rows):
        raise AssertionError(f"{what}: ring goes to {sweep.ring.max()}, row_of_ring has {len(rows)}")


def check_radar(what: str, name: str, times: Times, cycle: RadarSweep) -> None:
    _check_stamp(what, cycle.sensor, name, cycle.time_ns, times)
    _check_columns(what, {field: column for field, column in _columns(cycle).items() if field != "id"})
    check_transform(f"{what}: ego_from_sensor", cycle.ego_from_sensor)
    unknown = cycle.origin.shape == (3,) and np.isnan(cycle.origin).all()
    if cycle.origin.shape != (3,) or not (unknown or np.isfinite(cycle.origin).all()):
        raise AssertionError(f"{what}: origin must be 3 finite numbers, or all NaN, got {cycle.origin.tolist()}")
    for name in ("dyn_prop", "ambig_state", "invalid_state", "pdh0"):
        column = getattr(cycle, name)
        if column is not None and column.dtype.kind not in "iu":
            raise AssertionError(f"{what}: column {name} must be codes (integers), got {column.dtype}")
    for scalar, vectors in (("v_radial", ("vx", "vy")), ("v_radial_comp", ("vx_comp", "vy_comp"))):
        _check_vectors(what, cycle, scalar, vectors)


def _check_vectors(what: str, cycle: RadarSweep, scalar: str, vectors: tuple[str, str]) -> None:
    """Fails where a speed along the ray and the vector for it do not agree, in their sign above all."""
    speed, (vx, vy) = getattr(cycle, scalar), (getattr(cycle, name) for name in vectors)
    if (vx is None) != (vy is None):
        raise AssertionError(f"{what}: {' and '.join(vectors)} must both be recorded, or neither")
    if speed is None or vx is None:
        return
    x, y, along, vx, vy = (np.asarray(column, np.float64) for column in (cycle.x, cycle.y, speed, vx, vy))
    x, y = x - cycle.origin[0], y - cycle.origin[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        across_ground = (x * vx + y * vy) / np.hypot(x, y)
        # less than the speed where the ray leads up or down; not where it has another sign
        differs = np.abs(across_ground - along) > 0.1 + 0.5 * np.abs(along)
    if differs.any():
        row = int(np.argmax(differs))
        raise AssertionError(
            f"{what}: {scalar} is {along[row]:g} in row {row}, where {' '.join(vectors)} is {across_ground[row]:g} "
            "along the ray; both must be > 0 for what recedes"
        )


def check_picture(what: str, name: str, times: Times, picture: CameraImage) -> None:
    _check_stamp(what, picture.camera, name, picture.time_ns, times)
    check_transform(f"{what}: ego_from_camera", picture.ego_from_camera)
    lens = picture.intrinsics
    if lens.shape != (3, 3) or lens.dtype != np.float64 or not np.isfinite(lens).all():
        raise AssertionError(f"{what}: intrinsics must be (3, 3) float64 and finite, got {lens.tolist()}")
    if lens[2].tolist() != [0, 0, 1] or not (lens[0, 0] > 0 and lens[1, 1] > 0):
        raise AssertionError(f"{what}: intrinsics must be fx 0 cx, 0 fy cy, 0 0 1, got {lens.tolist()}")
    try:
        _ = picture.lens
    except BrokenRecord as error:
        raise AssertionError(f"{what}: its lens: {error}") from error
    size = picture.size
    if size is not None and not (len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size)):
        raise AssertionError(f"{what}: size must be None, or height and width in pixels, got {size}")
    if not isinstance(picture.encoded, bytes):
        raise AssertionError(f"{what}: encoded must be bytes, got {type(picture.encoded).__name__}")


def check_labels(what: str, time_ns: int, labels: Labels) -> None:
    if labels.time_ns != time_ns:
        raise AssertionError(f"{what} are of {labels.time_ns} ns, the frame is of {time_ns}")
    boxes = labels.boxes
    if boxes.dtype != np.float64 or not np.isfinite(boxes).all():
        raise AssertionError(f"{what}: boxes must be float64 and finite, got {boxes.dtype}")
    if (boxes[:, 3:6] < 0).any() or (np.abs(boxes[:, 6]) > np.pi).any():
        raise AssertionError(f"{what}: boxes must have sizes of 0 or more, and yaw from -pi to pi")
    for field in ("category", "track_id"):
        column = getattr(labels, field)
        if column.dtype.kind != "U":
            raise AssertionError(f"{what}: {field} must be texts (numpy's str_), got {column.dtype}")
    names, counts = np.unique(labels.track_id, return_counts=True)
    if (counts > 1).any():
        raise AssertionError(f"{what}: track_id '{names[counts > 1][0]}' is listed twice")
    if labels.num_points is not None and labels.num_points.dtype != np.int64:
        raise AssertionError(f"{what}: num_points must be int64, got {labels.num_points.dtype}")


def check_map(what: str, hdmap: HDMap | None) -> None:
    for name, shapes in ({} if hdmap is None else hdmap.layers).items():
        if shapes.points.dtype != np.float64 or shapes.points.shape[1:] != (3,):
            got = f"{shapes.points.shape} {shapes.points.dtype}"
            raise AssertionError(f"{what}: the points of '{name}' must be (P, 3) float64, got {got}")
        if not np.isfinite(shapes.points[:, :2]).all():
            raise AssertionError(f"{what}: the points of '{name}' must have finite x and y; z may be NaN")


def _columns(record: LidarSweep | RadarSweep) -> Mapping[str, NDArray[Any]]:
    apart = ("ego_from_sensor", "row_of_ring", "origin")
    return {name: v for name, v in vars(record).items() if isinstance(v, np.ndarray) and name not in apart}


def _check_stamp(what: str, sensor: str, name: str, time_ns: int, times: Times) -> None:
    if sensor != name:
        raise AssertionError(f"{what} says that it is of '{sensor}'")
    if not isinstance(time_ns, int) or time_ns not in times:
        raise AssertionError(f"{what} has the stamp {time_ns!r}, which is not one of the source's times (int) for it")


def _check_columns(what: str, columns: Mapping[str, NDArray[Any]]) -> None:
    for name, column in columns.items():
        if column.dtype.kind not in _KINDS.get(name, "fiub"):
            kinds = " or ".join({"f": "floats", "i": "integers", "u": "counters"}[k] for k in _KINDS.get(name, ""))
            raise AssertionError(f"{what}: column {name} must be {kinds}, got {column.dtype}")
        if column.flags.writeable:
            raise AssertionError(f"{what}: column {name} can be written to, though frames share it")
