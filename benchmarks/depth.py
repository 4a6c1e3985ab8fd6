"""Depth maps of six cameras from ten sweeps, whole builds: from points that lie in one frame, and from the sweeps."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from clouds import SWEEPS, past_of_ten, ten_sweeps
from harness import Result, compare, lines
from numpy.typing import NDArray
from peers import depth_by_columns, depth_by_ufunc_at

from perceptum.builders import InputBuilder
from perceptum.datasets import memory_log
from perceptum.inputs import CameraImage, Frame, LidarSweep
from perceptum.inputs.poses import rigid

__all__ = ["run"]

SIZE = (256, 704)
IMAGE = {"resize": 0.48, "crop": list(SIZE), "crop_at": [1.0, 0.5]}
AFFINE = np.array([[0.48, 0, 0.5 * 0.48 - 0.5 - 32], [0, 0.48, 0.5 * 0.48 - 0.5 - 176], [0, 0, 1]])
CAMERAS = ((0, 1266), (-55, 1266), (55, 1266), (180, 809), (110, 1266), (-110, 1266))
"""Where each looks, degrees, and its focal length, px: as nuScenes' six, in pictures of 900 x 1600."""
COLUMNS, USUAL = "columns, early tests, minimum.at", "minimum.at"
QUICKER, QUICKER_THAN_USUAL, QUICKER_BY_TWO = 3.0, 9.0, 5.0


def run(rounds: int = 30) -> list[Result]:
    points = ten_sweeps()[:, :3]
    columns = tuple(points.T.copy())
    frame = memory_log([LidarSweep("lidar", 10**18, np.eye(4), *columns)], cameras=_pictures(10**18))[0]
    return [*_at_hand(rounds, frame, columns, points), *_of_sweeps(rounds)]


def _at_hand(
    rounds: int, frame: Frame, columns: tuple[NDArray[np.float32], ...], points: NDArray[np.float32]
) -> list[Result]:
    one, two = (_builder(threads) for threads in (1, 2))
    matrices = np.stack([_pixel_from_ego(picture) for picture in frame.cameras.values()])
    peer, usual = (partial(depth_by_columns, columns), partial(depth_by_ufunc_at, points))
    work: dict[str, Any] = {"one thread": partial(one.build, frame), "two threads": partial(two.build, frame)}
    work[COLUMNS] = partial(peer, matrices, SIZE)
    own = work["one thread"]()["camera_depth"]
    assert np.array_equal(own, usual(matrices, SIZE)), "not the same maps: the comparison means nothing"
    assert np.mean(np.abs(own - work[COLUMNS]()) > 1e-4) < 1e-4, "not the same maps: the comparison means nothing"
    times = compare(rounds, work)
    what = f"depth maps of six cameras, {len(points)} points at hand"
    found = lines(what, times, COLUMNS, {"one thread": QUICKER, "two threads": QUICKER_BY_TWO})
    times = compare(rounds // 3, {"one thread": work["one thread"], USUAL: partial(usual, matrices, SIZE)})
    return [*found, *lines(what, times, USUAL, {"one thread": QUICKER_THAN_USUAL})]


def _of_sweeps(rounds: int) -> list[Result]:
    """As they were recorded: ours brings them into one frame too, and so does the peer, sweep by sweep in float64."""
    recorded = past_of_ten()[1]
    sweeps = recorded.sweeps(SWEEPS)
    pictures = _pictures(recorded.time_ns)
    log = memory_log(sweeps[::-1], cameras=pictures, poses=recorded.poses)
    frame = log[-1]
    ego_from_world = np.linalg.inv(log.world_from_ego(frame.time_ns))
    moves = [ego_from_world @ log.world_from_ego(own.time_ns) @ own.ego_from_sensor for own in sweeps]
    matrices = np.stack([_pixel_from_ego(picture) for picture in frame.cameras.values()])

    def peer() -> NDArray[np.float32]:
        moved = [
            (np.stack([own.x, own.y, own.z], axis=1).astype(np.float64) @ move[:3, :3].T + move[:3, 3]).T
            for own, move in zip(sweeps, moves, strict=True)
        ]
        return depth_by_columns(np.concatenate(moved, axis=1).astype(np.float32), matrices, SIZE)

    cloud = {"num_sweeps": SWEEPS, "compensate": "per_sweep"}
    work: dict[str, Any] = {
        said: partial(_builder(threads, lidar=cloud).build, frame)
        for said, threads in (("one thread", 1), ("two threads", 2))
    }
    work[COLUMNS] = peer
    off = np.abs(work["one thread"]()["camera_depth"] - peer())
    assert np.mean(off > 1e-4) < 1e-3, "not the same maps: the comparison means nothing"
    times = compare(rounds, work)
    what = f"depth maps of six cameras, {SWEEPS} sweeps as recorded"
    return lines(what, times, COLUMNS, {"one thread": QUICKER, "two threads": QUICKER_BY_TWO})


def _builder(threads: int, **params: Any) -> InputBuilder:
    return InputBuilder(["camera_depth"], params={"camera_depth": {**params, "image": IMAGE}}, threads=threads)


def _pictures(time_ns: int) -> list[CameraImage]:
    found = []
    for number, (azimuth_deg, focal_px) in enumerate(CAMERAS):
        c, s = np.cos(np.radians(azimuth_deg)), np.sin(np.radians(azimuth_deg))
        # x right, y down, z forward
        mount = rigid(np.array([[s, 0, c], [-c, 0, s], [0, -1, 0]]), [0.5 + 0.8 * c, 0.8 * s, 1.5])
        matrix = np.array([[focal_px, 0, 816], [0, focal_px, 491], [0, 0, 1.0]])
        found.append(CameraImage(f"camera_{number}", time_ns, matrix, mount, lambda: b"", size=(900, 1600)))
    return found


def _pixel_from_ego(picture: CameraImage) -> NDArray[np.float64]:
    camera_from_ego = np.linalg.inv(picture.ego_from_camera)
    found: NDArray[np.float64] = AFFINE @ picture.intrinsics @ camera_from_ego[:3]
    return found
