"""The lidar's sweeps. A sweep's stamp is the END of its revolution: offsets run from -100 ms to 0.

That is what most spinning lidars' drivers record (the moment at which the revolution is complete), and it keeps a frame
causal: everything in it was measured at or before its time. Points are as measured, in the sensor's frame at
their own time: the ego and everything else moves during the revolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import LidarSweep, Matrix, PointLabels

from . import chance, surfaces
from .options import Options
from .point_classes import CLASS_OF_SURFACE
from .rig import LIDAR, LIDAR_MOUNT, PERIOD_NS
from .scene import Scene, World
from .solids import REFLECTIVITY, Solids
from .trig import angle, cosine, product, sine

__all__ = ["Cast", "cast", "elevations_rad", "firing_offsets_ns", "sweep_of"]


_PI = 3.141592653589793
_TOP_RAD, _BOTTOM_RAD = 3.0 * _PI / 180, -25.0 * _PI / 180
_MARGIN_RAD = 0.03
"""For the mount's tilt and the ego's turning, when choosing which columns may meet a solid."""
_MARGIN_M = 3.0
"""For what moves during a revolution: 2 m at 20 m/s, and the ego 1 m."""


@dataclass(frozen=True)
class Cast:
    """What a sweep's rays hit: columns of one length."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    z: NDArray[np.float32]
    intensity: NDArray[np.uint8]
    ring: NDArray[np.uint16]
    offset_ns: NDArray[np.int32]
    owner: NDArray[np.int32]
    """Which of the scene's things was hit, -1 for the ground and for things without a label."""
    semantic: NDArray[np.uint8]
    """By POINT_CLASSES."""
    hits: NDArray[np.int64]
    """(things,) returns from each of the scene's things."""


def elevations_rad(beams: int) -> Matrix:
    """Returns (beams,) elevations from the lowest, -25 degrees, to the highest, +3; four times denser on top."""
    share = np.arange(beams, dtype=np.float64)[::-1] / (beams - 1)
    return _TOP_RAD + (_BOTTOM_RAD - _TOP_RAD) * share * (0.4 + 0.6 * share)


def firing_offsets_ns(steps: int) -> NDArray[np.int32]:
    """Returns (steps,) when each column fires, after the end of the revolution; the last at 0."""
    return (np.arange(1, steps + 1, dtype=np.int64) * PERIOD_NS // steps - PERIOD_NS).astype(np.int32)


def _azimuths_rad(steps: int) -> Matrix:
    """Returns (steps,) from the back, clockwise seen from above."""
    return _PI - 2 * _PI * (np.arange(steps, dtype=np.float64) + 0.5) / steps


def _cos_sin(a: Matrix) -> Matrix:
    return np.stack([cosine(a), sine(a)], axis=1)


def cast(world: World, options: Options, index: int, time_ns: int) -> tuple[Scene, Cast]:
    """Returns the scene at the end of revolution `index`, and what its rays hit."""
    scene = world.scene(time_ns, options.max_range_m)
    offset_ns = firing_offsets_ns(options.azimuth_steps)
    ego = world.ego(time_ns + offset_ns.astype(np.int64))
    frames, eyes = sensor_motion(ego.heading, ego.centre, LIDAR_MOUNT)
    middle = options.azimuth_steps // 2
    solids, near, first, last = _choose(scene.solids, eyes[middle], frames[middle], options)
    shine = np.minimum(REFLECTIVITY[solids.paint] * (0.7 + solids.colour.sum(axis=1) / 1500.0), 1.0)
    return scene, _run(world, options, index, scene, solids, near, (first, last), shine, (offset_ns, eyes, frames))


def sensor_motion(heading: Matrix, centre: Matrix, mount: Matrix) -> tuple[Matrix, Matrix]:
    """Returns local_from_sensor rotations (n, 3, 3) and origins (n, 3) of a sensor on the ego."""
    n, (cos, sin) = len(heading), heading.T
    ego = np.zeros((n, 3, 3))
    ego[:, 0, 0], ego[:, 0, 1], ego[:, 1, 0], ego[:, 1, 1], ego[:, 2, 2] = cos, -sin, sin, cos, 1.0
    x, y, z = (float(v) for v in mount[:3, 3])
    lever = np.stack([cos * x - sin * y, sin * x + cos * y, np.full(n, z)], axis=1)
    return product(ego, mount[:3, :3]), centre + lever


def _choose(
    solids: Solids, eye: Matrix, frame: Matrix, options: Options
) -> tuple[Solids, Matrix, NDArray[np.int64], NDArray[np.int64]]:
    """Returns the solids in range, nearest first, how near each can be, and the columns that can meet it."""
    offset = solids.centre[:, :2] - eye[:2]
    away = np.sqrt((offset * offset).sum(axis=1))
    radius = np.sqrt((solids.half[:, :2] ** 2).sum(axis=1)) + np.where(
        (solids.velocity != 0).any(axis=1), _MARGIN_M, 1.2
    )
    near = np.maximum(away - radius, 0.0)
    order = np.argsort(near, kind="stable")
    order = order[near[order] < options.max_range_m]
    solids = Solids(*(np.ascontiguousarray(column[order]) for column in solids))
    offset, away, radius, near = offset[order], away[order], radius[order], near[order]
    along, left = (
        offset[:, 0] * frame[0, 0] + offset[:, 1] * frame[1, 0],
        offset[:, 0] * frame[0, 1] + offset[:, 1] * frame[1, 1],
    )
    # asin(r) <= r * pi / 2
    wide = np.where(away > radius, radius / np.maximum(away, 1e-9) * (_PI / 2) + _MARGIN_RAD, _PI)
    per_rad = options.azimuth_steps / (2 * _PI)
    middle = (_PI - angle(left, along)) * per_rad - 0.5
    first = np.floor(middle - wide * per_rad).astype(np.int64)
    last = np.minimum(np.ceil(middle + wide * per_rad).astype(np.int64), first + options.azimuth_steps - 1)
    shift = -(first // options.azimuth_steps) * options.azimuth_steps
    return solids, near, first + shift, last + shift


def _run(
    world: World,
    options: Options,
    index: int,
    scene: Scene,
    solids: Solids,
    near: Matrix,
    columns: tuple[NDArray[np.int64], NDArray[np.int64]],
    shine: Matrix,
    firing: tuple[NDArray[np.int32], Matrix, Matrix],
) -> Cast:
    from .sweep_kernel import cast_sweep, list_columns

    offset_ns, eyes, frames = firing
    starts, listed = list_columns(*columns, options.azimuth_steps)
    size = options.beams * options.azimuth_steps
    dtypes: list[Any] = [np.float32, np.float32, np.float32, np.uint8, np.uint16, np.int32, np.int32, np.uint8]
    out = [np.empty(size, dtype) for dtype in dtypes]
    count = cast_sweep(
        solids,
        shine,
        near,
        starts,
        listed,
        offset_ns * 1e-9,
        eyes,
        frames,
        _cos_sin(_azimuths_rad(options.azimuth_steps)),
        _cos_sin(elevations_rad(options.beams)),
        world.course.ground_for_kernels,
        scene.table,
        surfaces.REFLECTIVITY,
        np.uint64(chance.key(options.seed, 4, index)),
        (options.max_range_m, options.noise_m, options.dropout),
        *out,
    )
    x, y, z, intensity, ring, column, owner, surface = (a[:count].copy() for a in out)
    semantic, labelled = CLASS_OF_SURFACE[surface], owner >= 0
    semantic[labelled] = 1 + scene.things.category[owner[labelled]]
    hits = np.bincount(owner[labelled], minlength=len(scene.things.name)).astype(np.int64)
    return Cast(x, y, z, intensity, ring, offset_ns[column], owner, semantic, hits)


def sweep_of(found: Cast, options: Options, time_ns: int, source: str) -> LidarSweep:
    """Returns the record; its columns are the caller's own. Ring 0 is the lowest beam.

    A point's instance is the number of the thing in the scene, from 1 on.
    """
    return LidarSweep(
        sensor=LIDAR,
        time_ns=time_ns,
        ego_from_sensor=LIDAR_MOUNT.copy(),
        x=found.x.copy(),
        y=found.y.copy(),
        z=found.z.copy(),
        intensity=found.intensity.copy(),
        ring=found.ring.copy(),
        offset_ns=found.offset_ns.copy(),
        intensity_scale=255.0,
        row_of_ring=np.arange(options.beams - 1, -1, -1, dtype=np.int32),
        source=source,
        point_labels=PointLabels.of(found.semantic.copy(), (found.owner + 1).astype(np.uint16), source),
    )
