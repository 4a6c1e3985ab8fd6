"""What others do, in the best public form that we know of: each as a call without arguments that returns its result.

Composed as by somebody who profiles: whole arrays, int32 cells, float32 where the result is, nothing computed twice.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs.poses import rotation_from_quaternion

__all__ = [
    "Pose",
    "bev_by_bincount",
    "bev_by_ufunc_at",
    "depth_by_columns",
    "depth_by_ufunc_at",
    "devkit_radar_sweeps",
    "devkit_sweeps",
    "range_image_by_argsort",
    "range_image_by_packed_key",
    "spconv_voxels",
]

Points = NDArray[np.float32]
Pose = tuple[Sequence[float], Sequence[float]]
"""Translation, and rotation as w x y z: as nuScenes' tables have them."""


def spconv_voxels(
    points: Points, low_high: list[float], voxel: list[float], per_voxel: int, most: int
) -> Callable[[], tuple[NDArray[Any], ...]]:
    """spconv's generator, made once; its results are copied out, since the next call overwrites them."""
    from cumm import tensorview as tv
    from spconv.utils import Point2VoxelCPU3d

    generator = Point2VoxelCPU3d(
        vsize_xyz=voxel,
        coors_range_xyz=low_high,
        num_point_features=points.shape[1],
        max_num_voxels=most,
        max_num_points_per_voxel=per_voxel,
    )
    # writable, and kept by the call: tensorview does not own what it is given
    held = points.copy()
    given = tv.from_numpy(held)
    return lambda held=held: tuple(part.numpy().copy() for part in generator.point_to_voxel(given))  # type: ignore[misc]


def devkit_sweeps(
    sweeps: Sequence[tuple[Path, int, Pose, Pose]], nearest_m: float = 1.0
) -> Callable[[], tuple[Points, NDArray[np.float64]]]:
    """nuscenes-devkit 1.2's LidarPointCloud.from_file_multisweep, line by line, without its look-ups of tokens.

    sweeps: newest first: file, microseconds, ego pose, the sensor's place. The devkit wants numpy<2, which we cannot
    have beside ours; this is its arithmetic, and leaves out what it spends on tables. Returns (4, N) and (1, N).
    """

    def from_file_multisweep() -> tuple[Points, NDArray[np.float64]]:
        all_points, all_times = np.zeros((4, 0), np.float32), np.zeros((1, 0))
        _, ref_us, ref_pose, ref_mount = sweeps[0]
        ref_from_car, car_from_global = _matrix(ref_mount, inverse=True), _matrix(ref_pose, inverse=True)
        for path, time_us, pose, mount in sweeps:
            points = np.fromfile(path, dtype=np.float32).reshape((-1, 5))[:, :4].T
            near = np.logical_and(np.abs(points[0, :]) < nearest_m, np.abs(points[1, :]) < nearest_m)
            points = points[:, np.logical_not(near)]
            transform = reduce(np.dot, [ref_from_car, car_from_global, _matrix(pose), _matrix(mount)])
            points[:3, :] = transform.dot(np.vstack((points[:3, :], np.ones(points.shape[1]))))[:3, :]
            time_lag = 1e-6 * ref_us - 1e-6 * time_us
            all_times = np.hstack((all_times, time_lag * np.ones((1, points.shape[1]))))
            all_points = np.hstack((all_points, points))
        return all_points, all_times

    return from_file_multisweep


def _matrix(pose: Pose, inverse: bool = False) -> NDArray[np.float64]:
    """As the devkit's transform_matrix."""
    out, rotation, translation = np.eye(4), rotation_from_quaternion(pose[1]), np.array(pose[0])
    if inverse:
        out[:3, :3] = rotation.T
        out[:3, 3] = rotation.T.dot(-translation)
    else:
        out[:3, :3] = rotation
        out[:3, 3] = translation
    return out


def devkit_radar_sweeps(
    reference: tuple[int, Pose, Pose], radars: Sequence[Sequence[tuple[Path, int, Pose, Pose]]]
) -> Callable[[], Points]:
    """nuscenes-devkit 1.2's RadarPointCloud.from_file_multisweep of each radar, without its look-ups of tokens.

    reference: microseconds, ego pose and the lidar's place. radars: as the sweeps of `devkit_sweeps`. As the devkit
    does, it takes the files apart value by value, and keeps invalid_state 0, dyn_prop 0 to 6, ambig_state 3. Returns
    (N, 7) float32 x y z rcs vx_comp vy_comp and the age in seconds, of all radars.
    """
    letters = {"F": {2: "e", 4: "f", 8: "d"}, "I": {1: "b", 2: "h", 4: "i", 8: "q"}, "U": {1: "B", 2: "H", 4: "I"}}

    def from_file(path: Path) -> NDArray[np.float64]:
        meta = []
        with open(path, "rb") as file:
            for line in file:
                meta.append(line.strip().decode("utf-8"))
                if meta[-1].startswith("DATA"):
                    break
            data = file.read()
        sizes, kinds = meta[3].split(" ")[1:], meta[4].split(" ")[1:]
        types = "".join(letters[kind][int(size)] for kind, size in zip(kinds, sizes, strict=True))
        points, offset = [], 0
        for _ in range(int(meta[6].split(" ")[1])):
            point = []
            for number in range(len(types)):
                end = offset + int(sizes[number])
                point.append(struct.unpack(types[number], data[offset:end])[0])
                offset = end
            points.append(point)
        if np.any(np.isnan(np.array(points[0]))):
            return np.zeros((len(types), 0))
        columns = np.array(points).transpose()
        for row, states in ((-4, [0]), (3, range(7)), (11, [3])):
            columns = columns[:, [value in states for value in columns[row, :]]]
        return columns

    def from_file_multisweep(cycles: Sequence[tuple[Path, int, Pose, Pose]]) -> NDArray[np.float64]:
        everything, all_times = np.zeros((18, 0)), np.zeros((1, 0))
        ref_us, ref_pose, ref_mount = reference
        ref_from_car, car_from_global = _matrix(ref_mount, inverse=True), _matrix(ref_pose, inverse=True)
        for path, time_us, pose, mount in cycles:
            points = from_file(path)
            transform = reduce(np.dot, [ref_from_car, car_from_global, _matrix(pose), _matrix(mount)])
            points[:3, :] = transform.dot(np.vstack((points[:3, :], np.ones(points.shape[1]))))[:3, :]
            time_lag = 1e-6 * ref_us - 1e-6 * time_us
            all_times = np.hstack((all_times, time_lag * np.ones((1, points.shape[1]))))
            everything = np.hstack((everything, points))
        return np.concatenate([everything[[0, 1, 2, 5, 8, 9]], all_times])

    def of_all() -> Points:
        return np.hstack([from_file_multisweep(cycles) for cycles in radars]).T.astype(np.float32, order="C")

    return of_all


def _columns(points: Points, low_high: list[float], cell: list[float]) -> tuple[Any, Points, Points]:
    """Returns, of the points inside, the int32 column of cells, z and intensity."""
    x, y, z, intensity = (np.ascontiguousarray(column) for column in points.T)
    low, size = np.float32(low_high[:3]), np.float32(cell)
    wide, high = (round((low_high[k + 3] - low_high[k]) / cell[k]) for k in (0, 1))
    ix = np.floor((x - low[0]) / size[0]).astype(np.int32)
    iy = np.floor((y - low[1]) / size[1]).astype(np.int32)
    iz = np.floor((z - low[2]) / size[2])
    layers = round((low_high[5] - low_high[2]) / cell[2])
    inside = (ix >= 0) & (ix < wide) & (iy >= 0) & (iy < high) & (iz >= 0) & (iz < layers)
    return (iy * np.int32(wide) + ix)[inside], z[inside], intensity[inside]


def bev_by_bincount(points: Points, low_high: list[float], cell: list[float], cap: int) -> Callable[[], Points]:
    """count, density, max_z, min_z, mean_z, max_i, mean_i: np.bincount for sums, ufunc.at for extremes."""
    wide, high = (round((low_high[k + 3] - low_high[k]) / cell[k]) for k in (0, 1))
    cells = wide * high

    def statistics() -> Points:
        column, z, intensity = _columns(points, low_high, cell)
        counts = np.bincount(column, minlength=cells)
        hit = np.flatnonzero(counts)
        count = counts[hit]
        max_z, min_z = np.full(cells, -np.inf, np.float32), np.full(cells, np.inf, np.float32)
        max_i = np.full(cells, -np.inf, np.float32)
        np.maximum.at(max_z, column, z)
        np.minimum.at(min_z, column, z)
        np.maximum.at(max_i, column, intensity)
        out = np.zeros((7, cells), np.float32)
        out[0, hit] = count
        out[1, hit] = np.minimum(1.0, np.log1p(count) / np.log(cap + 1))
        out[2, hit], out[3, hit], out[5, hit] = max_z[hit], min_z[hit], max_i[hit]
        out[4, hit] = np.bincount(column, z, cells)[hit] / count
        out[6, hit] = np.bincount(column, intensity, cells)[hit] / count
        return out.reshape(7, high, wide)

    return statistics


def bev_by_ufunc_at(points: Points, low_high: list[float], cell: list[float], cap: int) -> Callable[[], Points]:
    """The same as it is usually written: ufunc.at on rows and columns for everything."""
    wide, high = (round((low_high[k + 3] - low_high[k]) / cell[k]) for k in (0, 1))
    cells = wide * high

    def statistics() -> Points:
        column, z, intensity = _columns(points, low_high, cell)
        sums = np.zeros((3, cells))
        np.add.at(sums[0], column, 1)
        np.add.at(sums[1], column, z)
        np.add.at(sums[2], column, intensity)
        max_z, min_z = np.full(cells, -np.inf, np.float32), np.full(cells, np.inf, np.float32)
        max_i = np.full(cells, -np.inf, np.float32)
        np.maximum.at(max_z, column, z)
        np.minimum.at(min_z, column, z)
        np.maximum.at(max_i, column, intensity)
        hit, count = sums[0] > 0, np.maximum(sums[0], 1)
        density = np.minimum(1.0, np.log1p(sums[0]) / np.log(cap + 1))
        out = np.stack([sums[0], density, max_z, min_z, sums[1] / count, max_i, sums[2] / count])
        return np.where(hit, out, 0).astype(np.float32).reshape(7, high, wide)

    return statistics


def _seen(x: Points, y: Points, z: Points, height: int, width: int, fov_deg: tuple[float, float]) -> tuple[Any, Points]:
    """Returns each point's cell, int32, and its distance: in float64, as ours, so that cells are the same."""
    upper, lower = np.deg2rad(fov_deg)
    x64, y64, z64 = x.astype(np.float64), y.astype(np.float64), z.astype(np.float64)
    distance = np.sqrt(x64 * x64 + y64 * y64 + z64 * z64)
    row = (upper - np.arcsin(z64 / distance)) * (height / (upper - lower))
    column = (1 - np.arctan2(y64, x64) * (1 / np.pi)) * (0.5 * width)
    rows = np.clip(row, 0, height - 1).astype(np.int32)
    columns = column.astype(np.int32)
    columns[columns >= width] = 0
    return rows * np.int32(width) + columns, distance.astype(np.float32)


def range_image_by_packed_key(
    points: Points, height: int, width: int, fov_deg: tuple[float, float]
) -> Callable[[], Points]:
    """range x y z intensity of the nearest point: np.minimum.at of the distance's bits above the point's number."""
    x, y, z, intensity = points.T.copy()
    none = np.uint64(2**64 - 1)

    def image() -> Points:
        cells, distance = _seen(x, y, z, height, width, fov_deg)
        keys = distance.view(np.uint32).astype(np.uint64) << np.uint64(32) | np.arange(len(x), dtype=np.uint64)
        nearest = np.full(height * width, none)
        np.minimum.at(nearest, cells, keys)
        hit = np.flatnonzero(nearest != none)
        own = (nearest[hit] & np.uint64(0xFFFFFFFF)).astype(np.int64)
        out = np.full((5, height * width), -1, np.float32)
        for channel, values in enumerate((distance, x, y, z, intensity)):
            out[channel, hit] = values[own]
        return out.reshape(5, height, width)

    return image


def range_image_by_argsort(
    points: Points, height: int, width: int, fov_deg: tuple[float, float]
) -> Callable[[], Points]:
    """The same as in RangeNet++'s LaserScan.do_range_projection: the farthest first, written over by the nearer."""
    up, down = (abs(edge) / 180 * np.pi for edge in fov_deg)
    fov = up + down

    def image() -> Points:
        xyz, remission = points[:, :3].astype(np.float64), points[:, 3]
        depth = np.linalg.norm(xyz, 2, axis=1)
        yaw = -np.arctan2(xyz[:, 1], xyz[:, 0])
        pitch = np.arcsin(xyz[:, 2] / depth)
        column = np.floor(0.5 * (yaw / np.pi + 1.0) * width)
        column = np.maximum(0, np.minimum(width - 1, column)).astype(np.int32)
        row = np.floor((1.0 - (pitch + down) / fov) * height)
        row = np.maximum(0, np.minimum(height - 1, row)).astype(np.int32)
        order = np.argsort(depth)[::-1]
        row, column = row[order], column[order]
        out_range = np.full((height, width), -1, np.float32)
        out_xyz = np.full((height, width, 3), -1, np.float32)
        out_remission = np.full((height, width), -1, np.float32)
        out_range[row, column] = depth[order]
        out_xyz[row, column] = xyz[order]
        out_remission[row, column] = remission[order]
        return np.concatenate([out_range[None], out_xyz.transpose(2, 0, 1), out_remission[None]])

    return image


def depth_by_columns(columns: Sequence[Points], matrices: NDArray[np.float64], size: tuple[int, int]) -> Points:
    """Returns (K, H, W) the nearest of depths [1, 60) on each pixel, 0 where there is none; all in float32.

    Columns x, y, z without gaps; the depth is tested first, then u of what is left, then v. matrices: (K, 3, 4).
    """
    x, y, z = columns
    height, width = size
    out = np.empty((len(matrices), height, width), np.float32)
    for own, (row_u, row_v, row_d) in zip(out, matrices.astype(np.float32), strict=True):
        depth = row_d[0] * x + row_d[1] * y + row_d[2] * z + row_d[3]
        kept = np.flatnonzero((depth >= 1) & (depth < 60))
        depth, of_x, of_y, of_z = depth[kept], x[kept], y[kept], z[kept]
        u = (row_u[0] * of_x + row_u[1] * of_y + row_u[2] * of_z + row_u[3]) / depth + np.float32(0.5)
        kept = np.flatnonzero((u >= 0) & (u < width))
        depth, u, of_x, of_y, of_z = depth[kept], u[kept], of_x[kept], of_y[kept], of_z[kept]
        v = (row_v[0] * of_x + row_v[1] * of_y + row_v[2] * of_z + row_v[3]) / depth + np.float32(0.5)
        kept = np.flatnonzero((v >= 0) & (v < height))
        flat = own.reshape(-1)
        flat[:] = np.inf
        np.minimum.at(flat, v[kept].astype(np.int32) * width + u[kept].astype(np.int32), depth[kept])
        flat[np.isinf(flat)] = 0
    return out


def depth_by_ufunc_at(points: Points, matrices: NDArray[np.float64], size: tuple[int, int]) -> Points:
    """The same as it is usually written: all points (N, 3) are projected in float64, then tested."""
    height, width = size
    out = np.full((len(matrices), height, width), np.inf, np.float32)
    places = np.column_stack([points, np.ones(len(points))])
    for own, matrix in zip(out, matrices, strict=True):
        q = places @ matrix.T
        depth = q[:, 2].astype(np.float32)
        with np.errstate(divide="ignore", invalid="ignore"):
            u, v = np.floor(q[:, 0] / q[:, 2] + 0.5), np.floor(q[:, 1] / q[:, 2] + 0.5)
        kept = (depth >= 1) & (depth < 60) & (u >= 0) & (u < width) & (v >= 0) & (v < height)
        np.minimum.at(own, (v[kept].astype(np.int64), u[kept].astype(np.int64)), depth[kept])
    return np.where(np.isinf(out), np.float32(0), out)
