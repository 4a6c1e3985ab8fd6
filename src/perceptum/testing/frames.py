"""Frames to test a feature with: an ordinary drive, and all that records can hold that nobody expects."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.datasets import memory_log, open_log
from perceptum.inputs import (
    BrokenRecord,
    CameraImage,
    Frame,
    GroundGrid,
    HDMap,
    Labels,
    LaneGraph,
    LidarSweep,
    Log,
    Poses,
    RadarSweep,
    Shapes,
)

__all__ = ["drive_frames", "hostile_frames"]

_T0_NS = 1_700_000_000_000_000_000
_STEP_NS = 100_000_000
_FEW, _MANY = 200, 40_000


def drive_frames(n: int = 4) -> list[Frame]:
    """Returns the frames of a small made-up drive: a lidar of 16 beams, radars, cameras, labels and a map."""
    return list(_drive(n))


@cache
def _drive(n: int) -> Log:
    # kept: casting its rays takes longer than building most features of it
    return open_log("synthetic", frames=n, seed=0, beams=16, azimuth_steps=360, image_size=(80, 48))


def hostile_frames() -> dict[str, Frame]:
    """Returns what is wrong or odd about a frame -> the frame. Few have labels or a map."""
    few = _cloud(_FEW)
    on_one_spot = np.full((3, _FEW), 4.25, np.float32)
    stamps = _T0_NS + _STEP_NS * np.arange(2)
    two = [_sweep(few, time_ns=int(stamp), offset_ns=np.arange(_FEW) * 1000) for stamp in stamps]
    front = _sweep(few, sensor="front", time_ns=int(stamps[1]) + 1)
    return {
        "no lidar": memory_log(times_ns=[_T0_NS])[0],
        "no sweep yet": memory_log([front], times_ns=stamps, poses=_poses(stamps))[1],
        "a second lidar that has no sweep yet": memory_log([*two, front], poses=_poses(stamps))[1],
        "a sweep without points": _alone(few[:, :0]),
        "one point": _alone(few[:, :1]),
        "many points": _alone(_cloud(_MANY), intensity=np.arange(_MANY, dtype=np.float32) % 256),
        "all points on one spot": _alone(on_one_spot),
        "points at the sensor": _alone(on_one_spot * 0),
        "points of NaN": _alone(few * np.float32(np.nan)),
        "some points not finite": _alone(_some_not_finite(few), intensity=_some_not_finite(few)[0]),
        "points beyond float32": _alone(few.astype(np.float64) * 1e300),
        "points 100 km away": _alone(few * np.float32(4000)),
        "columns of odd dtypes": _odd_dtypes(few),
        "a place far from the world's origin, on the move": memory_log(two, poses=_poses(stamps, 5e6))[1],
        "unrelated frames": memory_log(two, poses=_poses(stamps), sequential=False)[1],
        "no pose": memory_log(two, poses=_poses(stamps - 10**12))[1],
        "records that hold nothing": _holding_nothing(few),
        "a picture that cannot be read": _unreadable_picture(few),
        "radar detections that are not finite": _radars(few, _some_not_finite(few)[0]),
        "radar detections at the radar": _radars(on_one_spot * 0, few[0]),
        "radar detections beyond float32": _radars(few.astype(np.float64) * 1e300, few[0].astype(np.float64) * 1e300),
        "radar codes of no meaning": _radars(few, few[0], state=np.arange(_FEW, dtype=np.int8)),
        "radars that measure places alone": _radars(few, None),
        "a map of odd shapes": _odd_map(few),
        "labels of odd boxes": _odd_labels(few),
    }


def _cloud(n: int) -> NDArray[np.float32]:
    """(3, n) points within 25 m."""
    return np.random.default_rng(0).uniform((-25, -25, -2), (25, 25, 3), (n, 3)).astype(np.float32).T.copy()


def _some_not_finite(cloud: NDArray[np.float32]) -> NDArray[np.float32]:
    out = cloud.copy()
    out[0, ::7], out[1, ::11], out[2, ::13], out[:, ::17] = np.nan, np.inf, -np.inf, 3e38
    return out


def _sweep(xyz: NDArray[Any], sensor: str = "lidar", time_ns: int = _T0_NS, **columns: Any) -> LidarSweep:
    mount = np.eye(4)
    mount[:3, 3] = 1, 0, 1.8
    return LidarSweep(sensor, time_ns, mount, *xyz, **columns)


def _alone(xyz: NDArray[Any], **columns: Any) -> Frame:
    return memory_log([_sweep(xyz, **columns)])[0]


def _odd_dtypes(xyz: NDArray[np.float32]) -> Frame:
    """Float16 and big-endian coordinates, every other element of a column, counters where intensities are expected."""
    n = xyz.shape[1]
    apart = np.repeat(xyz[1], 2)[::2]
    coordinates = (xyz[0].astype(np.float16), apart, xyz[2].astype(">f8"))
    columns: dict[str, Any] = {"intensity": np.arange(n, dtype=np.uint16), "ring": (np.arange(n) % 16).astype(np.uint8)}
    return memory_log([LidarSweep("lidar", _T0_NS, np.eye(4), *coordinates, **columns, intensity_scale=65535.0)])[0]


def _poses(times_ns: NDArray[np.int64], far_m: float = 0.0) -> Poses:
    """A metre and a little turn from each of the times to the next."""
    steps = np.arange(len(times_ns))[:, None]
    turns = np.hstack([np.cos(0.02 * steps), np.zeros((len(steps), 2)), np.sin(0.02 * steps)])
    return Poses(times_ns, turns, steps * np.array([1.0, 0.1, 0.0]) + np.array([far_m, -far_m, 0.0]))


def _holding_nothing(xyz: NDArray[np.float32]) -> Frame:
    """A radar without detections, labels without boxes, a map without layers."""
    none, names = np.zeros(0, np.float32), np.zeros(0, np.str_)
    radar = RadarSweep("radar", _T0_NS, np.eye(4), none, none, none)
    labels = Labels(_T0_NS, np.zeros((0, 7)), names, names)
    log = memory_log([_sweep(xyz[:, :0])], radars=[radar], labels=[labels], hdmap=HDMap())
    return log[0]


def _radars(xyz: NDArray[Any], speeds: NDArray[Any] | None, state: NDArray[Any] | None = None) -> Frame:
    """Two radars of a vehicle on the move, with a cycle now and one before."""
    names = ("rcs", "vx", "vy", "vx_comp", "vy_comp", "v_radial", "v_radial_comp")
    columns: dict[str, Any] = {} if speeds is None else dict.fromkeys(names, speeds)
    if speeds is not None:
        state = np.zeros(len(speeds), np.int8) if state is None else state
        columns |= dict.fromkeys(("dyn_prop", "ambig_state", "invalid_state", "pdh0"), state)
    stamps = _T0_NS + _STEP_NS * np.arange(2)
    radars = [
        RadarSweep(name, int(stamp), np.eye(4), *xyz, **columns) for name in ("front", "back") for stamp in stamps
    ]
    return memory_log([_sweep(_cloud(_FEW), time_ns=int(stamps[1]))], radars=radars, poses=_poses(stamps))[0]


def _odd_map(xyz: NDArray[np.float32]) -> Frame:
    """Rings that cross themselves, have no area or lie around or beyond everything, lanes of one point, one that
    follows itself, ground that is nowhere known; numbers that are not finite."""
    square = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    rings = {
        "eight": 9 * square[[0, 2, 1, 3]],
        "around": 1e5 * square,
        "far": square + 1e8,
        "flat": square * [[5, 0]],
        "point": square[:1],
        "edge": square[:2],
        "nan": np.where(np.eye(4, 2) > 0, np.nan, 4 * square),
        "infinite": np.where(np.eye(4, 2) > 0, np.inf, 4 * square),
    }
    lines = {"long": square[:2] * 1e5, "still": np.repeat(square[:1], 3, axis=0), **rings}
    lanes = Shapes.of("line", lines)
    areas = Shapes.of("polygon", rings)
    n = len(lanes)
    graph = LaneGraph(
        centerlines=lanes,
        left_boundaries=lanes,
        right_boundaries=lanes,
        successors=np.array([[k, k + 1] for k in range(n - 1)] + [[n - 1, n - 1]] * 2),
        neighbors=np.tile([[-1, 0]], (n, 1)),
        is_intersection=np.arange(n) % 2 == 0,
        lane_type=np.array(["VEHICLE"] * n),
    )
    layers = {"drivable_area": areas, "drivable_area_holes": areas, "lane": areas, "lane_divider": lanes}
    ground = GroundGrid(np.full((4, 4), np.nan, np.float32), np.eye(2), np.zeros(2), 1.0)
    stamps = _T0_NS + _STEP_NS * np.arange(2)
    sweeps = [_sweep(xyz, time_ns=int(stamp)) for stamp in stamps]
    return memory_log(sweeps, hdmap=HDMap(layers, graph, ground), poses=_poses(stamps))[1]


def _odd_labels(xyz: NDArray[np.float32]) -> Frame:
    """Boxes without a size, with none that is finite, around everything, far away; ids that are listed twice; tracks
    that end, begin, and change what they are."""
    boxes = np.tile([3.0, 1.0, 0.5, 4.0, 2.0, 1.5, 0.3], (10, 1))
    boxes[1, 3:6], boxes[2, 3:6], boxes[3], boxes[4, 0] = 0, 1e5, np.nan, np.inf
    boxes[5, :3], boxes[6, 6], boxes[7, 3], boxes[8, 6] = 1e8, np.nan, -2, 1e9
    velocity = np.tile([1.0, -1.0], (10, 1))
    velocity[::3] = np.nan, np.inf
    names = np.array(["car", "", "REGULAR_VEHICLE", "vehicle.car", "car", "pedestrian", "car", "car", "bus", "car"])
    stamps = _T0_NS + _STEP_NS * np.arange(3)
    labels = []
    for k, stamp in enumerate(stamps.tolist()):
        tracks = np.array([f"track {(i * (k + 1)) % 7}" for i in range(10)])
        labels.append(
            Labels(stamp, boxes[: 10 - 3 * k], names[k : 10 - 2 * k], tracks[: 10 - 3 * k], velocity[3 * k :])
        )
    sweeps = [_sweep(xyz, time_ns=int(stamp)) for stamp in stamps]
    return memory_log(sweeps, labels=labels, poses=_poses(stamps))[1]


def _unreadable_picture(xyz: NDArray[np.float32]) -> Frame:
    picture = CameraImage("front", _T0_NS, np.eye(3), np.eye(4), read=_cut_short)
    log: Log = memory_log([_sweep(xyz)], cameras=[picture])
    return log[0]


def _cut_short() -> bytes:
    raise BrokenRecord("front.jpg: 12 bytes, wanted a complete picture")
