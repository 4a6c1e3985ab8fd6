"""What a draw does to places, everything does: as if the drive had been recorded in a world that was changed so.

Mounts and points of sensors, velocities, poses, labels, signals and the whole map are mirrored, turned and scaled by
hand, and a builder that knows of no augmentation makes the same tensors of them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import perceptum as pc
from perceptum.builders import Augment, Draw, InputBuilder
from perceptum.datasets import memory_log
from perceptum.features import canonical
from perceptum.inputs import GroundGrid, Poses
from perceptum.inputs.poses import rigid

from .test_augmented import change_of, scale_of

AUGMENT = Augment(rotate=(-3, 3), flip_x=0.5, flip_y=0.5, scale=(0.7, 1.5))
GRID = {"range": [-40, -40, -3, 40, 40, 3], "voxel": [0.5, 0.5, 0.5]}
PLACES = ["x", "y", "z", "dx", "dy", "dz", "x_prev", "y_prev", "z_prev", "turn_left", "turn_right", "layer"]
CASES = {
    "lidar_points": {"num_sweeps": 2, "columns": ["x", "y", "z", "time_lag", "height_above_ground"]},
    "lidar_bev_occupancy": {"grid": GRID},
    "radar_points": {"filter": "none", "columns": ["x", "y", "z", "vx", "vy", "vx_comp", "vy_comp", "v_radial_comp"]},
    "map_raster": {"layers": ["drivable_area", "lane", "lane_divider"]},
    "map_lane_direction": {},
    "map_ground": {"relative_to": "reference"},
    "map_rgb": {},
    "map_polylines": {"layers": ["lane_centerline", "left_boundary", "right_boundary", "crossing"], "columns": PLACES},
    "map_lane_graph": {"order": "nearest"},
    "ego_motion": {"num_past": 2},
    "ego_state": {"source": "signals", "columns": ["velocity_x", "velocity_y", "speed", "steering", "angular_rate_z"]},
    "agent_history": {"columns": ["x", "y", "z", "yaw", "vx", "vy", "ax", "yaw_rate", "length", "dx"]},
    "agent_raster": {},
    "gt_boxes": {"columns": ["x", "y", "z", "length", "width", "height", "sin_yaw", "cos_yaw", "vx", "vy"]},
    "gt_heatmap": {"grid": GRID, "stride": 2},
    "gt_pixor": {"grid": GRID, "stride": 2},
    "gt_trajectory": {"num_future": 3, "columns": ["x", "y", "yaw", "vx", "dy"]},
    "gt_segmentation": {"lidar": {"num_sweeps": 2}},
    "gt_map": {},
}
AGENTS = {"num_steps": 3, "dt": 0.1}
OF_EGO_BOX = ("gt_ego_trajectory", "gt_ego_trajectory_mask")
"""The vehicle's own heading is x in the other world too."""


def draw_of(mirrors: bool) -> Draw:
    """A draw that exchanges left and right, or not, and turns and scales."""
    draws = (Draw(5, 0, index) for index in range(100))
    return next(own for own in draws if (np.linalg.det(change_of(AUGMENT, own)[:3, :3]) < 0) == mirrors)


@cache
def recorded():
    """A made-up drive of eight frames, its poses and mounts tilted, and its map's lanes said to turn."""
    log = pc.open_log("synthetic", frames=8, seed=5)
    random = np.random.default_rng(0)
    source = log.source
    sweeps = [log.lidar(name, k) for name, times in source.lidars.items() for k in range(len(times))]
    radars = [log.radar(name, k) for name, times in source.radars.items() for k in range(len(times))]
    tilts = {one.sensor: tilted(*random.uniform(-0.05, 0.05, 2)) for one in (*sweeps, *radars)}
    thin = slice(None, None, 40)
    sweeps = [
        replace(
            one,
            ego_from_sensor=one.ego_from_sensor @ tilts[one.sensor],
            **{name: getattr(one, name)[thin].astype(np.float64) for name in "xyz"},
            intensity=one.intensity[thin],
            ring=one.ring[thin],
            offset_ns=one.offset_ns[thin],
            point_labels=None,
        )
        for one in sweeps
    ]
    radars = [replace(one, ego_from_sensor=one.ego_from_sensor @ tilts[one.sensor]) for one in radars]
    times = np.arange(*log.poses.span_ns, 20_000_000)
    worlds = [log.world_from_ego(int(time)) @ tilted(0.02 * np.sin(k / 7), 0.02) for k, time in enumerate(times)]
    lanes = log.map.lanes
    turn = np.array(["left", "right", "straight", ""])[random.integers(0, 4, len(lanes))]
    hdmap = replace(log.map, lanes=replace(lanes, turn=turn, is_intersection=random.random(len(lanes)) < 0.3))
    labels = [frame.labels for frame in log]
    signals = [log.signal(name) for name in log.signals]
    return sweeps, radars, labels, signals, hdmap, times, worlds, [frame.time_ns for frame in log]


def tilted(roll, pitch):
    a, b = np.cos([roll, pitch]), np.sin([roll, pitch])
    about_x = np.array([[1, 0, 0], [0, a[0], -b[0]], [0, b[0], a[0]]])
    return rigid(about_x @ np.array([[a[1], 0, b[1]], [0, 1, 0], [-b[1], 0, a[1]]]), np.zeros(3))


def drive(change, whose):
    """The drive of which the axes of `whose`, ego or a sensor, are changed, and all else with them.

    Sensors and the world have a mirror and a scale of their own for it, so that all turns stay turns.
    """
    sweeps, radars, labels, signals, hdmap, times, worlds, frames = recorded()
    k, m = scale_of(change), float(np.sign(np.linalg.det(change[:3, :3])))
    plain = np.diag([k, k * m, k, 1.0])
    ego = change if whose == "ego" else plain

    def own(sensor):
        return change if sensor == whose else plain

    def at(one):
        to = own(one.sensor)
        xyz = np.stack([one.x, one.y, one.z], axis=1).astype(np.float64) @ to[:3, :3].T + to[:3, 3]
        columns = {name: np.ascontiguousarray(xyz[:, axis]) for axis, name in enumerate("xyz")}
        origin = to[:3, :3] @ one.origin + to[:3, 3]
        return replace(one, ego_from_sensor=ego @ one.ego_from_sensor @ np.linalg.inv(to), origin=origin, **columns)

    def measured(one):
        to, columns = own(one.sensor), {}
        for pair in (("vx", "vy"), ("vx_comp", "vy_comp")):
            if getattr(one, pair[0]) is not None:
                both = np.stack([getattr(one, name) for name in pair], axis=1).astype(np.float64) @ to[:2, :2].T
                columns |= dict(zip(pair, np.ascontiguousarray(both.T), strict=True))
        speeds = {name: getattr(one, name) for name in ("v_radial", "v_radial_comp")}
        columns |= {name: speed.astype(np.float64) * k for name, speed in speeds.items() if speed is not None}
        return replace(at(one), **columns)

    moved = np.array([plain @ world @ np.linalg.inv(ego) for world in worlds])
    return memory_log(
        [at(one) for one in sweeps],
        radars=[measured(one) for one in radars],
        labels=[labels_in(one, ego, k) for one in labels],
        signals=[signal_in(one, ego, k, m) for one in signals],
        hdmap=map_in(hdmap, k, m),
        poses=Poses(times, quaternions(moved[:, :3, :3]), moved[:, :3, 3]),
        times_ns=frames,
    )


def quaternions(turns):
    from scipy.spatial.transform import Rotation

    return Rotation.from_matrix(turns).as_quat()[:, [3, 0, 1, 2]]


def labels_in(labels, to, k):
    boxes = np.array(labels.boxes)
    headings = np.stack([np.cos(boxes[:, 6]), np.sin(boxes[:, 6])], axis=1) @ to[:2, :2].T
    boxes[:, :3] = boxes[:, :3] @ to[:3, :3].T + to[:3, 3]
    boxes[:, 3:6] *= k
    boxes[:, 6] = np.arctan2(headings[:, 1], headings[:, 0])
    return replace(labels, boxes=boxes, velocity=labels.velocity @ to[:2, :2].T)


def signal_in(signal, to, k, m):
    columns = dict(signal.columns)
    for what, name in signal.measures.items():
        if what == "steering":
            columns[name] = columns[name] * m
        elif what == "angular_rate":
            columns[name] = m * columns[name] @ (to[:3, :3].T / k)
        else:
            columns[name] = columns[name] @ to[:3, :3].T
    return replace(signal, columns=columns)


def map_in(hdmap, k, m):
    def shapes(one):
        return replace(one, points=one.points * [k, k * m, k])

    lanes, ground = hdmap.lanes, hdmap.ground
    sides, neighbors, turn = (lanes.left_boundaries, lanes.right_boundaries), lanes.neighbors, lanes.turn
    if m < 0:
        sides, neighbors = sides[::-1], np.ascontiguousarray(neighbors[:, ::-1])
        turn = np.array([{"left": "right", "right": "left"}.get(own, own) for own in turn.tolist()])
    lanes = replace(
        lanes,
        centerlines=shapes(lanes.centerlines),
        left_boundaries=shapes(sides[0]),
        right_boundaries=shapes(sides[1]),
        neighbors=neighbors,
        turn=turn,
    )
    turned = ground.rotation @ np.diag([1.0, m])
    return replace(
        hdmap,
        layers={name: shapes(own) for name, own in hdmap.layers.items()},
        lanes=lanes,
        ground=GroundGrid(ground.height.astype(np.float64) * k, turned, ground.translation * k, ground.scale / k),
    )


@cache
def built(frame, mirrors, changed):
    """All tensors of one frame: of the changed world as it is, or of the recorded one, with the draw."""
    schema, params, names = canonical(), {}, []
    for name, own in CASES.items():
        parts = schema.group(name).params.parts()
        shared = {"frame": frame, "agents": AGENTS}
        params[name] = own | {part: value for part, value in shared.items() if part in parts}
        names += [feature.name for feature in schema.group(name).features if feature.name not in OF_EGO_BOX]
    draw = draw_of(mirrors)
    whose = {"ego": "ego", "lidar": "LIDAR_TOP", "radar": "RADAR_FRONT"}[frame]
    builder = InputBuilder(names, params=params, training=True, augment=None if changed else AUGMENT)
    log = drive(change_of(AUGMENT, draw) if changed else np.eye(4), whose)
    return dict(builder.build(log[5], draw=None if changed else draw))


@pytest.mark.parametrize("group", CASES)
@pytest.mark.parametrize("mirrors", [False, True])
@pytest.mark.parametrize("frame", ["ego", "lidar", "radar"])
def test_a_draw_makes_what_a_changed_world_would_have_made(frame, mirrors, group):
    got, wanted = (built(frame, mirrors, changed) for changed in (False, True))
    for feature in canonical().group(group).features:
        if feature.name in OF_EGO_BOX:
            continue
        own, other = got[feature.name], wanted[feature.name]
        assert own.shape == other.shape, feature.name
        assert own.size == 0 or own.any() or not other.any()
        far = ~np.isclose(own.astype(np.float64), other.astype(np.float64), rtol=2e-5, atol=5e-4)
        # what float64 rounds may lie on a border, of a cell or of a turn
        assert far.mean() < 2e-3 if far.size else True, feature.name
