"""A whole frame of BEVFusion, from nuScenes' files to the tensors, against the best public parts and the usual ones.

Voxels of ten sweeps, six pictures, their matrices, the lidar's depth in them and the map; in further lines the radars
too. Files are in the page cache, and every build reads them again, but for the map, which all keep.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from bevfusion_peer import Camera, Record, depth_maps, map_of, matrices, moved_cycles, moved_sweeps, pictures, voxels
from bevfusion_root import CAMERAS, made_bevfusion, open_reading
from bevfusion_usual import usual_depth_maps, usual_pictures, usual_sweeps
from clouds import CYCLES, SWEEPS
from harness import Result, compare, lines
from map_raster_peer import Draw, as_devkit, by_numpy, by_shapely
from numpy.typing import NDArray

from perceptum.builders import InputBuilder
from perceptum.features.camera import NORMS
from perceptum.inputs import Log, LogError
from perceptum.inputs.poses import quaternion_from_rotation

__all__ = ["NAMES", "PARAMS", "run"]

LIDAR = ["lidar_voxels", "lidar_voxel_coords", "lidar_voxel_num_points"]
RADAR = ["radar_voxels", "radar_voxel_coords", "radar_voxel_num_points"]
MATRICES = ["camera_intrinsics", "camera_extrinsics", "camera_projection", "camera_image_affine"]
CAMERA = ["camera_images", "camera_depth", *MATRICES]
PARAMS: dict[str, Any] = {name: {"preset": "bevfusion_256x704"} for name in CAMERA}
PARAMS |= {"lidar_voxels": {"preset": "bevfusion"}}
RADAR_PARAMS = {"radar_voxels": {"preset": "bevfusion_radar"}}
PARAMS |= {"map_raster": {"preset": "bevfusion_seg", "required": True}}
NAMES = [*LIDAR, *CAMERA, "map_raster"]
LAYERS = ("drivable_area", "crossing", "walkway", "stop_line", "carpark_area", "road_divider+lane_divider")
BOX = [-54, -54, -5, 54, 54, 3]
RADAR_BOX, DETECTIONS = [-51.2, -51.2, -5, 51.2, 51.2, 3], 2500
PEER = "simplejpeg, Pillow, OpenCV, numpy, spconv"
USUAL = "the usual loading, its map by shapely"
WITH_DEVKIT = "the usual loading, its map as nuscenes-devkit's"
Tensors = dict[str, NDArray[Any]]


def run(rounds: int = 20) -> list[Result]:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            log = open_reading(made_bevfusion(Path(folder)))
            return [*_race(rounds, log, radar=False), *_race(rounds, log, radar=True)]
    finally:
        cv2.setNumThreads(threads)


def _race(rounds: int, log: Log, *, radar: bool) -> list[Result]:
    names = [*NAMES, *(RADAR if radar else ())]
    builders = [_builder(names, threads) for threads in (1, 2)]
    assert log.map is not None
    composed = _Composed(log, by_numpy(log.map, LAYERS), radar=radar)
    work: dict[str, Callable[[], Any]] = {
        "one thread": lambda: builders[0].build(log[-1]),
        "two threads": lambda: builders[1].build(log[-1]),
        PEER: composed.build,
    }
    ways = list(work)[:2]
    for ours in ways:
        composed.check(work[ours]())
    what = f"a frame of BEVFusion, cameras{', lidar, radars' if radar else ', lidar'} and map"
    if radar:
        return lines(what, compare(rounds, work), PEER, {"one thread": 2.5, "two threads": 4.0})
    usual = {USUAL: by_shapely(log.map, LAYERS), WITH_DEVKIT: as_devkit(log.map, LAYERS)}
    loadings = {name: _Usual(log, draw, radar=False) for name, draw in usual.items()}
    for loading in loadings.values():
        loading.check(work["one thread"]())
    times = compare(rounds, work | {USUAL: loadings[USUAL].build})
    found = lines(what, times, PEER, {"one thread": 2.5, "two threads": 4.0})
    found += lines(what, times, USUAL, {"one thread": 4.0, "two threads": 6.0})
    # a second each
    times = compare(3, {name: work[name] for name in ways} | {WITH_DEVKIT: loadings[WITH_DEVKIT].build}, warm=1)
    return found + lines(what, times, WITH_DEVKIT, {"one thread": 4.0, "two threads": 6.0})


def _builder(names: list[str], threads: int) -> InputBuilder[Any]:
    params = PARAMS | (RADAR_PARAMS if RADAR[0] in names else {})
    return InputBuilder(names, params=params, threads=threads)


class _Composed:
    """The same tensors of public parts, by what nuScenes' tables say of the last frame."""

    def __init__(self, log: Log, draw: Draw, *, radar: bool) -> None:
        self._log, self._draw, frame = log, draw, log[-1]
        self._sweeps = [_record(log, one, one.ego_from_sensor) for one in frame.sweeps(SWEEPS)]
        shown = (frame.cameras[name] for name in CAMERAS)
        self._cameras = [Camera(_record(log, one, one.ego_from_camera), one.intrinsics) for one in shown]
        self._cycles = []
        for name in log.source.radars if radar else ():
            own = frame.ranked_radar_sweeps(CYCLES, name, newest="nearest")
            self._cycles.append([_record(log, one, one.ego_from_sensor) for _, one in own])
        if len(self._sweeps) != SWEEPS or any(len(own) != CYCLES for own in self._cycles):
            raise LogError("not the records that the benchmark names")
        norm = NORMS["imagenet_unit"]
        self._pictures = pictures(norm.mean, norm.std)
        self._lidar_voxels = voxels(BOX, [0.075, 0.075, 0.2], columns=5, per_voxel=10, most=160_000)
        # not 60 000: spconv clears them all, 216 MB, and there are never more than detections
        self._radar_voxels = voxels(RADAR_BOX, [0.8, 0.8, 8], columns=45, per_voxel=20, most=DETECTIONS)

    def build(self) -> Tensors:
        points = moved_sweeps(self._sweeps)
        found = dict(zip(LIDAR, self._lidar_voxels(points), strict=True))
        given = matrices(self._sweeps[0], self._cameras)
        found |= dict(zip(MATRICES, given, strict=True))
        found |= {"camera_images": self._pictures(self._cameras), "camera_depth": depth_maps(points, given, BOX)}
        found["map_raster"] = map_of(self._sweeps[0], self._draw)
        if self._cycles:
            found |= self._of_radar(moved_cycles(self._sweeps[0], self._cycles, DETECTIONS))
        return found

    def _of_radar(self, detections: NDArray[np.float32]) -> Tensors:
        rows, coords, counts = self._radar_voxels(detections)
        return dict(zip(RADAR, (rows, np.ascontiguousarray(coords[:, ::-1]), counts), strict=True))

    def check(self, ours: Tensors) -> None:
        """Pixels are equal, and voxels those that spconv makes of our points; moved in float32, as here, a point is off
        by micrometres, and one in 100 000 in the next cell."""
        theirs = self.build()
        assert np.array_equal(ours["camera_images"], theirs["camera_images"]), "not the same pixels"
        for name in MATRICES:
            assert np.abs(ours[name] - theirs[name]).max() < 1e-5, f"{name}: not the same matrices"
        off = np.abs(ours["camera_depth"] - theirs["camera_depth"]) > 1e-4
        assert off.mean() < 1e-4, "not the same depths"
        assert np.array_equal(ours["map_raster"], theirs["map_raster"]), "not the same map"
        cloud = {"columns": ["x", "y", "z", "intensity", "time_lag"], "num_sweeps": SWEEPS, "intensity_mode": "raw"}
        cloud |= {"frame": "lidar", "remove_close": 1.0, "remove_close_of": "past", "compensate": "per_sweep"}
        points = self._ours("lidar_points", cloud, moved_sweeps(self._sweeps))
        _check_equal(ours, dict(zip(LIDAR, self._lidar_voxels(points), strict=True)))
        if self._cycles:
            cycles = moved_cycles(self._sweeps[0], self._cycles, DETECTIONS)
            _check_equal(ours, self._of_radar(self._ours("radar_points", {"preset": "bevfusion_radar"}, cycles)))

    def _ours(self, name: str, params: dict[str, Any], theirs: NDArray[np.float32]) -> NDArray[np.float32]:
        # copied, since spconv does not take what is read-only
        ours: NDArray[np.float32] = InputBuilder([name], params={name: params}).build(self._log[-1])[name].copy()
        # a tensor of a fixed size has zeros below
        ours = ours[: len(theirs)]
        assert np.abs(ours - theirs).max() < 1e-4, f"{name}: not the same"
        return ours


class _Usual(_Composed):
    """The same as BEVFusion's own pipeline makes it."""

    def build(self) -> Tensors:
        norm = NORMS["imagenet_unit"]
        points = usual_sweeps(self._sweeps)
        found = dict(zip(LIDAR, self._lidar_voxels(points), strict=True))
        given = matrices(self._sweeps[0], self._cameras)
        found |= dict(zip(MATRICES, given, strict=True))
        shown = usual_pictures(self._cameras, norm.mean, norm.std)
        found |= {"camera_images": shown, "camera_depth": usual_depth_maps(points, given, BOX)}
        return found | {"map_raster": map_of(self._sweeps[0], self._draw)}

    def check(self, ours: Tensors) -> None:
        """Pixels by another order of sums, and the map clipped, whose corners are rounded elsewhere."""
        theirs = self.build()
        for name, most in ("camera_images", 1e-5), ("camera_depth", 1e-4):
            assert np.mean(np.abs(ours[name] - theirs[name]) > most) < 1e-4, f"{name}: not the same"
        assert np.mean(ours["map_raster"] != theirs["map_raster"]) < 0.1, "not the same map"
        assert abs(len(ours["lidar_voxels"]) - len(theirs["lidar_voxels"])) < 100, "not the same voxels"


def _check_equal(ours: Tensors, theirs: Tensors) -> None:
    for name, wanted in theirs.items():
        assert np.array_equal(ours[name], wanted), f"{name}: not those of spconv"


def _record(log: Log, one: Any, mount: NDArray[np.float64]) -> Record:
    return Record(Path(one.source), one.time_ns // 1000, _parts(log.source.poses.at(one.time_ns)), _parts(mount))


def _parts(transform: NDArray[np.float64]) -> Any:
    return transform[:3, 3], quaternion_from_rotation(transform[:3, :3])
