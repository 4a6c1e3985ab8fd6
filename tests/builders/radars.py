"""Radar cycles as tests make them, and what radar tensors should hold, in plain numpy from the definition."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.features.radar import RadarCloudParams, width_of
from perceptum.inputs import Poses, RadarSweep
from perceptum.inputs.poses import inverse, rigid

MS = 1_000_000
T0 = 1_700_000_000_000_000_000
STATES = {"dyn_prop": 8, "ambig_state": 5, "invalid_state": 18, "pdh0": 8}
BLOCKS = {"dyn_prop_onehot": 8, "ambig_state_onehot": 5, "invalid_state_onehot": 18, "pdh0_ordinal": 7}
VELOCITIES = ("vx", "vy", "vx_comp", "vy_comp", "v_radial", "v_radial_comp")


def mount(yaw_rad: float = 0.3, place: Any = (3.4, -0.6, 0.5), roll_rad: float = 0.0) -> np.ndarray:
    c, s, cr, sr = np.cos(yaw_rad), np.sin(yaw_rad), np.cos(roll_rad), np.sin(roll_rad)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    return rigid(turn, place)


def cycle(n: int, time_ns: int = T0, sensor: str = "front", seed: int = 0, **more: Any) -> RadarSweep:
    """A cycle with every column, in the dtypes of nuScenes' files; a column that is given as None is left out."""
    random = np.random.default_rng(seed)
    xyz = random.uniform((1, -40, -1), (60, 40, 2), (n, 3)).astype(np.float32)
    columns: dict[str, Any] = {"rcs": random.uniform(-10, 40, n).astype(np.float32)}
    columns |= {name: random.normal(0, 8, n).astype(np.float32) for name in VELOCITIES}
    columns |= {name: random.integers(0, most, n).astype(np.int8) for name, most in STATES.items()}
    # most of what a radar gives is valid and unambiguous
    columns["invalid_state"][random.random(n) < 0.6] = 0
    columns["ambig_state"][random.random(n) < 0.7] = 3
    columns |= {"id": np.arange(n, dtype=np.int16), "is_quality_valid": np.ones(n, np.int8)}
    columns |= {name: random.integers(0, 30, n).astype(np.int8) for name in ("x_rms", "y_rms", "vx_rms", "vy_rms")}
    given = {"ego_from_sensor": mount(), "x": xyz[:, 0], "y": xyz[:, 1], "z": xyz[:, 2], **columns, **more}
    return RadarSweep(sensor, time_ns, **given)


def curve(times_ns: Any, far_m: float = 0.0, turned_rad: float = 0.0) -> Poses:
    """A bend at 12 m/s with 0.25 rad/s, turned about the world's z, and anywhere in it."""
    t = (np.asarray(times_ns) - T0) * 1e-9
    yaw = turned_rad + 0.25 * t
    # the integral of the speed along the heading
    place = 12 / 0.25 * np.stack([np.sin(yaw), -np.cos(yaw), np.zeros(len(t))], axis=1)
    quaternions = np.stack([np.cos(yaw / 2), *np.zeros((2, len(t))), np.sin(yaw / 2)], axis=1)
    return Poses(np.asarray(times_ns, np.int64), quaternions, place + np.array([far_m, -far_m, 0.0]))


def expected(log: Any, frame: Any, params: RadarCloudParams, columns: Any) -> np.ndarray:
    """(n, C) float32: the rows of radar_points from the definition, detection by detection."""
    rows: list[list[float]] = []
    for record, rank, lag_s, ref_from_sensor, mounted, speed in _placed(frame, params):
        for i in range(len(record)):
            row = _row(record, i, rank, lag_s, ref_from_sensor, mounted, speed, params, columns)
            rows += [] if row is None else [row]
    return np.array(rows, np.float32).reshape(-1, width_of(tuple(columns)))


def _placed(frame: Any, params: RadarCloudParams) -> list[Any]:
    source = frame.log.source
    ref_from_ego = np.eye(4)
    if params.frame != "ego":
        radar = next(iter(source.radars), "")
        mounting = frame.ego_from_lidar if params.frame == "lidar" else frame.radars[radar].ego_from_sensor
        ref_from_ego = inverse(mounting)
    found = []
    for name in source.radars if params.sensors is None else params.sensors:
        keyframes = params.sweeps == "keyframes"
        picked = {"step": params.sweep_step, "keyframes": keyframes, "newest": params.newest}
        cycles = frame.ranked_radar_sweeps(params.num_sweeps, name, **picked) if name in source.radars else []
        for rank, record in cycles:
            since = cycles[0][1].time_ns if params.lag_from == "newest_cycle" else frame.time_ns
            still = ref_from_ego @ record.ego_from_sensor
            world = frame.poses.at_many([frame.time_ns, record.time_ns], 10**8)
            moved = ref_from_ego @ inverse(world[0]) @ world[1] @ record.ego_from_sensor
            there = moved if params.compensate == "per_sweep" else still
            found.append((record, rank, (since - record.time_ns) * 1e-9, there, still, _speed(frame, record)))
    return sorted(found, key=lambda one: -one[0].time_ns)


def _speed(frame: Any, record: RadarSweep) -> np.ndarray:
    """The sensor's velocity over ground in its own axes, by a central difference over 0.1 s, one-sided at the ends."""
    first, last = frame.poses.span_ns
    low, high = max(record.time_ns - 50 * MS, first), min(record.time_ns + 50 * MS, last)
    if high <= low:
        return np.zeros(3)
    a, now, b = (world @ record.ego_from_sensor for world in frame.poses.at_many([low, record.time_ns, high], 10**8))
    return now[:3, :3].T @ (b[:3, 3] - a[:3, 3]) / ((high - low) * 1e-9)


def _row(record, i, rank, lag_s, ref_from_sensor, mounted, speed, params, columns):
    def own(name):
        return None if getattr(record, name) is None else float(getattr(record, name)[i])

    p = np.array([own("x"), own("y"), own("z")])
    if not np.isfinite(p).all():
        return None
    for name, kept in params.state_filter().looked_at().items():
        if own(name) is not None and own(name) not in kept:
            return None
    if abs(p[0]) < params.remove_close and abs(p[1]) < params.remove_close:
        return None
    away = p - record.origin
    r = np.linalg.norm(away)
    # what follows from no direction is not known
    ray = away / r if r > 0 else np.full(3, np.nan)
    v = own("v_radial") * ray if own("v_radial") is not None else np.zeros(3)
    if own("vx") is not None:
        v = np.array([own("vx"), own("vy"), 0.0])
    radial = own("v_radial") if own("v_radial") is not None else ray @ v
    comp = None if own("vx_comp") is None else np.array([own("vx_comp"), own("vy_comp"), 0.0])
    radial_comp = own("v_radial_comp")
    if radial_comp is None:
        radial_comp = ray @ comp if comp is not None else radial + ray @ speed
    if comp is None:
        whole = record.velocity_part == "full" and own("v_radial_comp") is None and own("vx") is not None
        comp = v + speed if whole else radial_comp * ray
    turn = ref_from_sensor[:3, :3]
    if params.velocity_axes == "mount":
        turn = mounted[:3, :3]
    there = ref_from_sensor[:3, :3] @ p + ref_from_sensor[:3, 3]
    if params.advance_by_velocity:
        there[:2] += np.nan_to_num((turn @ comp)[:2] * lag_s)
    there = there.astype(np.float32)
    distance = np.hypot(*there[:2].astype(np.float64))
    if params.min_distance and distance <= params.min_distance:
        return None
    if params.max_distance is not None and distance >= params.max_distance:
        return None
    shown = v if params.velocity_axes == "sensor" else turn @ v
    shown_comp = comp if params.velocity_axes == "sensor" else turn @ comp
    values = {"x": there[0], "y": there[1], "z": there[2], "time_lag": lag_s, "sweep": rank, "range": r}
    values |= {"azimuth": np.arctan2(away[1], away[0]), "vx": shown[0], "vy": shown[1]}
    values |= {"vx_comp": shown_comp[0], "vy_comp": shown_comp[1], "v_radial": radial, "v_radial_comp": radial_comp}
    found: list[float] = []
    for name in columns:
        if name in BLOCKS:
            code = own(name.rpartition("_")[0])
            each = range(BLOCKS[name])
            found += [0.0 if code is None else float(code > k if name == "pdh0_ordinal" else code == k) for k in each]
            continue
        value = values[name] if name in values else own(name)
        if value is None or not np.isfinite(np.float32(value)):
            found.append(0.0)
            continue
        value = np.float32(value)
        span = params.rcs_range if name == "rcs" else params.velocity_range if name in VELOCITIES else None
        found.append(float(value) if span is None else (float(value) - span[0]) / (span[1] - span[0]))
    return found
