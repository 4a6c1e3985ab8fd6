"""The radars: a fan of rays in each sensor's plane; what they meet answers by chance, with exact Doppler.

Ranges carry noise along the ray, so a detection's direction, and with it the Doppler of anything that stands
still, -u . v_sensor, is exact. vx vy are the radial velocity as a vector, as automotive radars give it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import Matrix, RadarSweep

from . import chance
from .lidar import sensor_motion
from .options import Options
from .rig import RADARS
from .scene import Scene, World
from .trig import cosine, sine

__all__ = ["detect"]


_REACH_M = 110.0
_HALF_VIEW_RAD = 60.0 * 3.141592653589793 / 180
_RAYS = 180
# by Paint: how strongly it answers, dBsm, and how often a ray that meets it is answered
_RCS_DBSM = np.array([8.0, 5.0, 16.0, 2.0, -6.0, -9.0, 10.0, 0.0, -4.0, 6.0, 14.0])
_ANSWERS = np.array([0.85, 0.5, 0.9, 0.6, 0.6, 0.3, 0.3, 0.6, 0.25, 0.9, 0.9])
_STILL_MPS = 0.5


def detect(world: World, options: Options, radar: str, index: int, time_ns: int, source: str) -> RadarSweep:
    """Returns the detections of one cycle, in the order of their azimuth from right to left."""
    number = list(RADARS).index(radar)
    start = chance.key(options.seed, 5, number, index)
    scene = world.scene(time_ns, _REACH_M)
    mount = RADARS[radar].ego_from_sensor
    frames, eyes = sensor_motion(scene.ego.heading, scene.ego.centre, mount)
    u, ray, distance, which = _fan(world, scene, start, eyes[0], frames[0])
    paint = scene.solids.paint[which]
    near = np.minimum(1.0, 60.0 / np.maximum(distance, 1.0))
    kept = chance.uniform(start, np.arange(len(which)), 1) < _ANSWERS[paint] * near
    u, ray, distance, which, paint = u[kept], ray[kept], distance[kept], which[kept], paint[kept]
    own, over_ground = _doppler(scene, eyes[0], ray, distance, which)
    n = np.arange(len(which))
    measured = np.maximum(distance + 6.0 * options.noise_m * chance.normal(start, n, 2), 0.1)
    relative = over_ground - own
    single = np.float32
    return RadarSweep(
        sensor=radar,
        time_ns=time_ns,
        ego_from_sensor=mount,
        x=(measured * u[:, 0]).astype(single),
        y=(measured * u[:, 1]).astype(single),
        z=np.zeros(len(n), single),
        vx=(relative * u[:, 0]).astype(single),
        vy=(relative * u[:, 1]).astype(single),
        vx_comp=(over_ground * u[:, 0]).astype(single),
        vy_comp=(over_ground * u[:, 1]).astype(single),
        rcs=(_RCS_DBSM[paint] + 3.0 * chance.normal(start, n, 3)).astype(single),
        v_radial=relative.astype(single),
        v_radial_comp=over_ground.astype(single),
        dyn_prop=_dynamics(scene, which, over_ground),
        ambig_state=_pick(start, n, 5, (3, 2, 1, 4), (0.9, 0.95, 0.98)),
        invalid_state=_pick(start, n, 6, (0, 4, 8, 9, 11, 16, 17), (0.86, 0.9, 0.93, 0.95, 0.97, 0.985)),
        pdh0=_pick(start, n, 7, (1, 2, 3, 4, 5), (0.75, 0.87, 0.94, 0.98)),
        source=source,
    )


def _fan(
    world: World, scene: Scene, start: int, eye: Matrix, frame: Matrix
) -> tuple[Matrix, Matrix, Matrix, NDArray[np.int32]]:
    """Returns of the rays that meet a solid: direction in the sensor (n, 2) and local frame (n, 3), range, solid."""
    from .fan_kernel import cast_fan

    number = np.arange(_RAYS)
    azimuth = _HALF_VIEW_RAD * (2.0 * (number + chance.uniform(start, number, 0)) / _RAYS - 1.0)
    u = np.stack([cosine(azimuth), sine(azimuth)], axis=1)
    rays = u[:, :1] * frame[:, 0] + u[:, 1:] * frame[:, 1]
    distance, which = np.empty(_RAYS), np.empty(_RAYS, np.int32)
    ground = world.course.ground_for_kernels
    cast_fan(scene.solids, eye, rays, ground, _REACH_M, distance, which)
    met = which >= 0
    return u[met], rays[met], distance[met], which[met]


def _doppler(
    scene: Scene, eye: Matrix, ray: Matrix, distance: Matrix, which: NDArray[np.int32]
) -> tuple[Matrix, Matrix]:
    """Returns along each ray (n,) the speed of the sensor and that of what was hit, m/s over ground, away > 0."""
    solids, ego = scene.solids, scene.ego
    lever = eye - ego.centre[0]
    v_sensor = ego.velocity[0] + ego.turn[0] * np.array([-lever[1], lever[0], 0.0])
    arm = eye + ray * distance[:, None] - solids.centre[which]
    swing = solids.turn[which, None] * np.stack([-arm[:, 1], arm[:, 0], np.zeros(len(arm))], axis=1)
    target = solids.velocity[which] + swing
    return (ray * v_sensor).sum(axis=1), (ray * target).sum(axis=1)


def _dynamics(scene: Scene, which: NDArray[np.int32], over_ground: Matrix) -> NDArray[np.int8]:
    """Returns dyn_prop: 0 moving, 1 stationary, 2 oncoming, 6 crossing moving, 7 stopped (a car that does not move)."""
    velocity = scene.solids.velocity[which]
    speed = np.sqrt((velocity * velocity).sum(axis=1))
    crossing = np.abs(over_ground) < 0.5 * speed
    moving = np.where(crossing, 6, np.where(over_ground < 0, 2, 0))
    standing = np.where(scene.solids.owner[which] >= 0, 7, 1)
    out: NDArray[np.int8] = np.where(speed > _STILL_MPS, moving, standing).astype(np.int8)
    return out


def _pick(
    start: int, n: NDArray[np.intp], what: int, values: tuple[int, ...], below: tuple[float, ...]
) -> NDArray[np.int8]:
    """Returns one of the values (n,) each, by chance; `below` are the cumulative shares of all but the last."""
    return np.array(values, np.int8)[np.searchsorted(below, chance.uniform(start, n, what), side="right")]
