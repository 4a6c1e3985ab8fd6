"""Whatever is asked for, in whatever order, batch, thread, lane or memory: the same frame gives the same bytes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perceptum.builders import Augment, Draw, InputBuilder, Paste, Pool, split
from perceptum.datasets import memory_log
from perceptum.features import Stack
from perceptum.inputs import Labels, Poses, Signal

from . import street_maps
from .cameras import picture
from .held import HeldCrew
from .keeper import Keeper
from .objects import database, spread
from .radars import cycle
from .strangers import SCHEMA

MS = 1_000_000
T0 = 1_700_000_000_000_000_000
GRID = {"range": [-40, -40, -3, 40, 40, 3], "voxel": [0.5, 0.5, 0.5]}
HASHED = {"range": [-200, -200, -20, 200, 200, 20], "voxel": [0.1, 0.1, 0.2]}
COLUMNS = ["x", "y", "z", "intensity", "time_lag", "ring"]
# what a group's rows may be asked for with; each stands for other stages, or for another way through the same
CHOICES = {
    "lidar_points": [
        {"num_sweeps": 3, "columns": COLUMNS},
        {"range": [-20, -20, -3, 20, 20, 3], "max_points": 300, "nonfinite_features": "drop"},
    ],
    "lidar_voxels": [
        {"grid": GRID, "max_points_per_voxel": 4, "max_voxels": 700, "num_sweeps": 2, "columns": COLUMNS},
        {"grid": HASHED, "max_voxels": 400, "overflow": "break", "coord_order": "xyz", "min_rows": 9},
        {"grid": GRID, "max_points_per_voxel": 1, "remove_close": 3.0, "compensate": "per_sweep"},
        {"grid": GRID, "max_voxels": None, "order": "sorted_xyz", "mean_of": "all", "num_sweeps": 2},
        {"grid": HASHED, "max_voxels": None, "order": "sorted", "mean_of": "all", "columns": ["z", "ring"]},
    ],
    "lidar_pillars": [
        {"grid": GRID, "max_points_per_voxel": 2, "max_voxels": 700, "num_sweeps": 2},
        {"grid": HASHED, "max_voxels": 400, "overflow": "break", "center_offset": "xy", "legacy": True},
        {"grid": GRID, "order": "sorted", "absolute_xyz": False, "with_distance": True, "columns": COLUMNS},
    ],
    "lidar_bev_occupancy": [
        {"grid": GRID, "overflow_slices": True, "bev_layout": "YXC", "flip_y": True},
        {"grid": GRID, "binary": False, "num_sweeps": 3},
    ],
    "lidar_bev_temporal": [
        {"grid": GRID, "num_sweeps": 3, "layout": "ZT", "overflow_slices": True, "flip_x": True},
        {"grid": GRID, "num_sweeps": 4, "time_axis": "own", "bev_layout": "XYC", "binary": False, "oldest_first": True},
    ],
    "lidar_bev_stats": [
        {"grid": GRID, "intensity_mode": "tanh"},
        {"grid": GRID, "channels": ["max_z", "top_i"], "flip_x": True, "bev_layout": "CXY"},
        {"grid": GRID, "channels": ["slice_height", "height_ratio", "var_z"]},
    ],
    "lidar_range_image": [
        {"height": 16, "width": 256},
        {"height": 8, "width": 64, "rows": "ring", "xyz_frame": "ego", "channels": ["z", "range"]},
        {
            "height": 8,
            "width": 60,
            "width_multiple": 16,
            "azimuth_fov": [-90, 200],
            "gaps": "windows",
            "channels": ["azimuth", "time_lag", "elongation", "occupancy", "inclination"],
            "inclination_of": "row",
            "fill": [1, 2, 3, 4, 5],
        },
    ],
    "radar_points": [
        {"filter": "none", "columns": ["x", "vx", "vx_comp", "time_lag", "sweep", "dyn_prop_onehot"]},
        {"range": [-20, -20, -3, 20, 20, 3], "max_points": 20, "advance_by_velocity": True, "sensors": ["b", "a"]},
    ],
    "radar_bev": [{"grid": GRID, "filter": "none"}, {"num_sweeps": 2, "bev_layout": "YXC", "oldest_first": True}],
    "camera_images": [{}, {"layout": "HWC", "channel_order": "BGR"}, {"decode": "reduced"}],
    "camera_extrinsics": [{"direction": "camera_from_ref"}, {"motion_compensated": False, "layout": "3x4"}],
    "camera_depth": [
        {"lidar": {"num_sweeps": 2}, "stride": 3, "pixel": "floor"},
        {"source": "radar", "radar": {"filter": "none"}, "heights": [0.5, 1.5], "collision": "last", "layout": "K1HW"},
        {"range": [-20, -20, -3, 20, 20, 3], "collision": "last_of_pixel", "stride": 4, "margin": 2.5},
    ],
    "lidar_camera_pixels": [{"lidar": {"num_sweeps": 2}}, {"take": "all", "max_points": 300}, {"take": "middle"}],
    "radar_camera_points": [
        {"radar": {"filter": "none"}, "max_points": 5},
        {"radar": {"sensors": ["b", "a"]}, "columns": ["depth", "v", "rcs", "dyn_prop_onehot"], "depth_along": "ray"},
    ],
    "map_polylines": [
        {},
        {"layers": ["lane_boundary", "crossing"], "counts": [9, 4], "points_beyond": "masked"},
        {"resample": "spacing", "elements": "vectors", "points_per_polyline": 5, "columns": ["x", "layer_onehot"]},
    ],
    "map_lane_graph": [{}, {"max_nodes": 60, "order": "nearest", "points_per_lane": None, "hops": [3, 1, 2, 7, 9, 5]}],
    "gt_boxes": [
        {},
        {"columns": ["x", "sin_yaw", "vy", "label"], "max_boxes": 2, "label_base": 1},
        {"box_range": [-20, -20, -3, 20, 20, 3], "min_points": 3, "centre": "bottom", "heading": "mmdet3d_0"},
    ],
    "ego_motion": [
        {"num_past": 3, "include_now": True, "oldest_first": True},
        {"num_past": 2, "times": "seconds", "dt_s": 0.06, "direction": "past_from_ref", "planar": "drop_z"},
        {"times": "sweeps", "step": 2, "planar": "yaw"},
    ],
    "ego_state": [{}, {"source": "auto", "columns": ["steering", "speed", "moved_x"], "differences": "backward"}],
    "ego_reference": [{}, {"part": "change"}],
    "agent_history": [{}, {"layout": "TAF", "columns": ["dx", "dy", "observed", "ax", "yaw_rate"]}],
    "agent_raster": [
        {"tracks": {"num_steps": 3, "dt": 0.05}, "ego": True, "flip_y": True},
        {
            "tracks": {"num_steps": 2, "dt": 0.05, "between": "linear"},
            "colours": [[9, 99, 200]] * 3,
            "bev_layout": "XYC",
        },
    ],
    "gt_trajectory": [{"num_future": 4}, {"num_future": 2, "dt": 0.1, "columns": ["dx", "x_from_now"]}],
    "gt_heatmap": [
        {"grid": GRID, "stride": 2},
        {"grid": GRID, "cell": "clamp", "bev_layout": "CXY", "max_objects": 3, "object_order": "class"},
        {"columns": ["vx", "log_width", "yaw"], "cell": "truncate", "heading": "mmdet3d_0", "min_overlap": 0.7},
    ],
    "map_raster": [{}, {"rule": "cv2", "flip_y": True}, {"layers": ["lane", "lane_boundary"], "bev_layout": "XYC"}],
    "map_lane_direction": [{}, {"lane_width": 8.0, "bev_layout": "XYC"}],
    "map_ground": [{}, {"interpolation": "bilinear", "relative_to": "reference"}],
    "map_rgb": [{}, {"samples": 3, "background": [9, 8, 7]}],
    "gt_segmentation": [
        {"lidar": {"num_sweeps": 2}},
        {"source": "points", "max_points": 300, "label_base": 1, "no_class": 0},
        {"overlap": "nearest", "range": [-20, -20, -3, 20, 20, 3]},
    ],
    "gt_boxes_2d": [
        {},
        {"columns": ["v_max", "visible", "depth", "u"], "outline": "corners", "min_size": 2.0, "max_boxes": 4},
        {"edges": "published", "lens": "none", "motion_compensated": False},
    ],
    "gt_pixor": [{}, {"grid": GRID, "stride": 2, "positive_scale": 1.5, "ignore_scale": 1.0}],
    "gt_map": [{}, {"rule": "cv2", "flip_y": True}],
    "acme_graph": [{}, {"per_node": 5}],
    "acme_sparse": [{}, {"size": 23}],
}
IMAGES = [
    {"cameras": ["front", "left"], "resize": 0.4, "crop": [20, 30], "crop_at": [1, 0.5]},
    {"cameras": ["left", "gone", "front"], "resize": [30, 50], "flip": True, "rotate": 4, "pad_multiple": 16},
    {"cameras": ["front"]},
]
"""Of one suffix all that is of cameras has the same."""
AGENTS = [
    {"num_steps": 4, "dt": 0.05, "max_agents": 7, "include_ego": "as_agent"},
    {
        "num_steps": 3,
        "dt": 0.05,
        "select": "ever",
        "velocity": "past",
        "classes": ["car", {"name": "large", "of": ["truck", "van"]}],
    },
    {"num_steps": 3, "dt": 0.05, "select": "trailing", "include_ego": "first", "range": [-30, -30, 30, 30]},
]
"""And all that is of agents."""
AUGMENTS = [
    None,
    Augment(rotate=0.8, flip_x=0.5, flip_y=0.5, scale=0.1, translate=0.5, image_flip=0.5, image_rotate=5.0),
    Augment(drop_points=(0.1, 0.4), shuffle_points=True, flip_y=1.0, scale=(1.1, 1.2)),
]
UNSTACKABLE = "acme_stacked"


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Threads share even small clouds."""
    monkeypatch.setattr(split, "_FEWEST", 64)


@pytest.fixture(scope="module")
def pasting(tmp_path_factory):
    """Objects are pasted, in frames that are turned, and of which points are dropped and shuffled."""
    categories = [("car", "person")[k % 2] for k in range(40)]
    objects = database(tmp_path_factory.mktemp("pasting") / "objects", spread(40, within_m=30), categories)
    paste = Paste(database=objects, counts={"car": 12, "person": 6}, rotate=0.5, tries=2)
    return Augment(paste=paste, rotate=0.4, flip_y=0.5, drop_points=(0.0, 0.3), shuffle_points=True)


@pytest.fixture(scope="module")
def drive(sweep_of, street):
    """Eight frames on a curve: large, small and empty clouds, some points not finite, in float32 and float64; two
    radars, one of which begins late; and two cameras, which miss frames, and of which one has several sizes."""
    times = T0 + np.arange(8) * 50 * MS
    turns = np.column_stack([np.cos(0.01 * np.arange(8)), *np.zeros((2, 8)), np.sin(0.01 * np.arange(8))])
    poses = Poses(times, turns, np.outer(np.arange(8), [0.4, 0.1, 0]) + street_maps.ORIGIN)
    mount = np.eye(4)
    mount[:3, 3] = 1, 0, 1.8
    sweeps = []
    for k, n in enumerate([2000, 10, 1500, 0, 2600, 1, 1900, 700]):
        points = street(n, seed=k).astype(np.float64 if k % 2 else np.float32)
        points[::97, 2] = np.nan
        ring, offsets = np.arange(n) % 32, np.linspace(-20 * MS, 20 * MS, n).astype(np.int64)
        more = {"ring": ring, "offset_ns": offsets, "intensity_scale": 255.0, "ego_from_sensor": mount}
        rows = np.arange(32, dtype=np.int32)
        sweeps.append(sweep_of(points[:, :3], points[:, 3], time_ns=int(times[k]), row_of_ring=rows, **more))
    radars = [cycle(n, int(times[k]) - 9 * MS, "a", seed=k) for k, n in enumerate([60, 0, 7, 90, 1, 50, 70], start=1)]
    radars += [cycle(n, int(times[k]) - 3 * MS, "b", seed=20 + k) for k, n in enumerate([40, 20], start=4)]
    pictures = [picture("front", int(times[k]) - 8 * MS, seed=k) for k in (0, 1, 3, 4, 5, 7)]
    pictures += [picture("left", int(times[k]) + 5 * MS, (60 + k, 80), 20 + k, yaw_rad=1.5) for k in (1, 2, 4)]
    labels = [boxes(n, int(times[k]), seed=k) for k, n in enumerate([9, 0, 12, 5, 10, 8, 3]) if k != 3]
    records = {"radars": radars, "poses": poses, "cameras": pictures, "labels": labels}
    turn = {"1": "left", "2": "right", "3": "straight"}
    log = memory_log(sweeps, **records, hdmap=street_maps.hdmap(turn), signals=[steering(times)])
    log.camera_tolerance_ns = 10 * MS
    return log


def steering(times):
    """A signal that begins late."""
    return Signal("wheel", times[3:], {"angle": 0.1 * np.arange(5.0)}, measures={"steering": "angle"})


def boxes(n, time_ns, seed):
    """Boxes of a dozen tracks, some of which are not there; some velocities are not known."""
    rng = np.random.default_rng(seed)
    tracks = rng.permutation(12)[:n]
    placed = np.column_stack([rng.normal(0, 20, (n, 2)), rng.normal(0, 1, n), rng.uniform(0.5, 6, (n, 3))])
    velocity = np.where(tracks[:, None] % 4 == 0, np.nan, rng.normal(0, 9, (n, 2)))
    return Labels(
        time_ns,
        np.column_stack([placed, rng.uniform(-3, 3, n)]),
        np.array(["car", "truck", "person"], np.str_)[tracks % 3],
        tracks.astype(np.str_),
        velocity,
    )


@st.composite
def specs(draw):
    """Rows of any features, each group under its own choice of params; sometimes a second instance of one."""
    chosen = draw(st.lists(st.sampled_from([f.name for f in SCHEMA]), min_size=1, max_size=8, unique=True))
    frame = draw(st.sampled_from(["ego", "lidar"]))
    images = {suffix: draw(st.sampled_from(IMAGES)) for suffix in ("", "__b")}
    agents = {suffix: draw(st.sampled_from(AGENTS)) for suffix in ("", "__b")}
    classes = {suffix: draw(st.sampled_from(["road_users", ["car", "person"]])) for suffix in ("", "__b")}
    choice, rows = {}, []
    for name in chosen:
        for suffix in draw(st.sampled_from([[""], [""], ["__b"], ["", "__b"]])):
            group = SCHEMA.group_of(name)
            key = (group.name, suffix)
            if key not in choice:
                picked = dict(draw(st.sampled_from(CHOICES.get(group.name, [{}]))))
                parts = {"frame": frame, "image": images[suffix], "agents": agents[suffix]}
                parts["classes"] = classes[suffix]
                choice[key] = picked | {part: parts[part] for part in group.params.parts()}
            params = choice[key]
            whole = group.params.replace(params, name)
            shape = tuple(f"{d}{suffix}" if isinstance(d, str) else d for d in SCHEMA[name].sizes(whole))
            dtype = draw(st.sampled_from(SCHEMA[name].dtypes))
            shape = tuple(f"{group.name}_{d}" if isinstance(d, str) else d for d in shape)
            rows.append({"name": name + suffix, "dtype": dtype, "shape": shape, "params": params or None})
    # rows that belong to another tensor's under other params are refused
    named = {row["name"]: row for row in rows}
    return [row for row in rows if fits(row, named)]


def fits(row, named):
    base, *suffix = row["name"].split("__")
    whose = named.get("__".join([SCHEMA[base].rows_of or "", *suffix]))
    if whose is None:
        return True
    both = ((base, row), (SCHEMA[base].rows_of, whose))
    own, theirs = (SCHEMA.group_of(name).params.replace(one["params"] or {}, name) for name, one in both)
    return bool(own.size_key("num_points") == theirs.size_key("num_points"))


_alone: dict[str, bytes] = {}


def alone(row, frame, draw, k, augment=None):
    """What a builder of its own makes of one row, remembered."""
    key = repr((row, k, draw, augment))
    if key not in _alone:
        builder = InputBuilder([row], schema=SCHEMA, training=True, augment=augment)
        array = builder.build(frame, draw=draw)[row["name"]]
        _alone[key] = (array.dtype.str, array.shape, array.tobytes())
    return _alone[key]


def shown(array):
    return array.dtype.str, array.shape, array.tobytes()


# first in this file: where nothing is compiled yet, it compiles group by group; the test below, which compiled all at
# once, took a minute for that, and five on a busy machine, which is all the time that a test has
@pytest.mark.slow
@pytest.mark.parametrize("group", [group.name for group in SCHEMA.groups])
def test_two_models_that_want_the_same_tensors_get_them(drive, group):
    """They share the filler, and it fills side by side: it is stopped before each of its lines until all other tensors
    are there."""
    # pictures are decoded behind a lock, where every line is waited for in vain
    every = 5 if "image" in SCHEMA.group(group).params.parts() else 1
    for params in choices_of(group):
        rows = rows_of_group(group, params)
        builder = InputBuilder({"one": rows, "other": rows}, schema=SCHEMA, training=True)
        for built, where in held_builds(builder, drive[4], lambda label: label.startswith("one/"), every):
            for name, row in product(built, rows):
                assert shown(built[name][row["name"]]) == alone(row, drive[4], None, 4), (name, row, where)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[*HealthCheck])
@given(data=st.data())
def test_no_byte_depends_on_what_else_is_built_or_how(drive, pasting, data):
    rows = data.draw(specs(), label="spec")
    more = data.draw(st.none() | specs(), label="the other model's spec")
    options = {"threads": data.draw(st.sampled_from([1, 2, 3])), "writable": data.draw(st.booleans())}
    wanted = rows if more is None else {"one": rows, "other": more}
    augment = data.draw(st.sampled_from([*AUGMENTS, pasting]), label="augment")
    builder = InputBuilder(wanted, schema=SCHEMA, training=True, augment=augment, **options)
    models = {"one": rows} if more is None else wanted
    kind = data.draw(st.sampled_from([None, None, Pool, Keeper]), label="memory")
    memory = None if kind is None else {name: kind() for name in models}
    into = next(iter(memory.values())) if memory and more is None else memory

    def check(k, draw):
        built = builder.build(drive[k], draw=draw, into=into)
        built = {"one": built} if more is None else built
        for name, own in models.items():
            for row in own:
                assert shown(built[name][row["name"]]) == alone(row, drive[k], draw, k, augment), (name, row)

    plan = data.draw(
        st.lists(st.tuples(st.integers(0, 7), st.sampled_from([None, Draw(1, 2, 3)])), min_size=1, max_size=8)
    )
    # memory that is given again while somebody else's tensors are in it is for one caller
    callers = 1 if kind is Keeper else data.draw(st.sampled_from([1, 1, 3]))
    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(lambda one: check(*one), plan))
    if not all(stacks(row) for own in models.values() for row in own):
        return
    picked = data.draw(st.lists(st.integers(0, 7), min_size=1, max_size=5), label="batch")
    draw = data.draw(st.sampled_from([None, Draw(1, 2, 3)]), label="the batch's draws")
    for _ in range(2):
        draws = None if draw is None else [draw] * len(picked)
        batch = builder.build_batch([drive[k] for k in picked], draws=draws, into=into)
        batch = {"one": batch} if more is None else batch
        for name, own in models.items():
            for row in own:
                nodes = [numbered_rows(row, drive[k], draw, k, augment) for k in picked]
                check_batch(row, batch[name], [alone(row, drive[k], draw, k, augment) for k in picked], nodes)


def stacks(row):
    """Whether a batch can be made of it: not of what is stacked, and has another size in every frame."""
    feature = SCHEMA[row["name"].partition("__")[0]]
    sized = all(isinstance(dim, int) for dim in row["shape"])
    return not row["name"].startswith(UNSTACKABLE) and (feature.collate != Stack() or sized)


def numbered_rows(row, frame, draw, k, augment):
    """How many rows a frame has of what the values of `row` count."""
    feature = SCHEMA[row["name"].partition("__")[0]]
    whose = getattr(feature.collate, "offset_of", None)
    if whose is None:
        return 0
    group = SCHEMA.group_of(feature.name)
    shape = SCHEMA[whose].sizes(group.params.replace(row["params"] or {}, whose))
    counted = {"name": whose, "dtype": SCHEMA[whose].dtypes[0], "shape": shape, "params": row["params"]}
    return alone(counted, frame, draw, k, augment)[1][0]


def check_batch(row, batch, single, nodes):
    name, suffix = row["name"].partition("__")[::2]
    feature, group = SCHEMA[name], SCHEMA.group_of(name)
    array = batch[row["name"]]
    if feature.collate == Stack() or all(isinstance(dim, int) for dim in row["shape"]):
        for place, expected in enumerate(single):
            assert shown(array[place]) == expected, row
        return
    # a group's other sizes have beginnings of their own
    after = f"{'__' + suffix if suffix else ''}_batch_ptr"
    starts = batch[name + after if name + after in batch else group.name + after]
    for place, (dtype, shape, content) in enumerate(single):
        stretch = slice(starts[place], starts[place + 1])
        own = array[:, stretch] if feature.collate.axis else array[stretch]
        if feature.collate.index == "column":
            assert (own[:, 0] == place).all()
            own = own[:, 1:]
        if feature.collate.index == "offset":
            # a frame of n nodes has n - 1 edges, or none; -1 counts nothing
            own = np.where(own < 0, own, own - sum(nodes[:place]))
        assert (own.dtype.str, own.shape, own.tobytes()) == (dtype, shape, content), row


@pytest.mark.slow
def test_stages_that_run_side_by_side_on_what_they_share_change_no_byte(drive):
    """Each is stopped before some of its lines until all others are done."""
    rows = []
    for group in SCHEMA.groups:
        for k, params in enumerate(choices_of(group.name)):
            # a suffix of its own: rows that belong to another group's would have to have its params
            rows += rows_of_group(group.name, params, f"__{group.name}_{k}")
    builder = InputBuilder(rows, schema=SCHEMA, training=True)
    tensors = {row["name"] for row in rows}
    for built, where in held_builds(builder, drive[4], lambda label: label not in tensors, every=97, patience_s=0.2):
        for row in rows:
            assert shown(built[row["name"]]) == alone(row, drive[4], None, 4), (row, where)


def choices_of(group):
    """What a group may be asked for with, in the order of CHOICES."""
    takes_images = "image" in SCHEMA.group(group).params.parts()
    choices = CHOICES.get(group, [{}])
    return [{**choice, "image": IMAGES[k]} if takes_images else choice for k, choice in enumerate(choices)]


def held_builds(builder, frame, pick, every=1, patience_s=0.02):
    """Yields what is built, and where a step was held, for each line of the steps whose labels are picked."""
    builder.build(frame)
    for step, label in enumerate(builder._lanes[-1].step_labels):
        if not pick(label):
            continue
        line = lines = 1
        while line <= lines:
            # a new lane: its memory grows meanwhile
            builder._lanes.clear()
            crew = builder._crew = HeldCrew(step, line, patience_s)
            yield builder.build(frame), (label, line)
            line, lines = line + every, crew.lines


def rows_of_group(name, params, suffix=""):
    """Rows of all features of a group, with the same params."""
    group, rows = SCHEMA.group(name), []
    for feature in group.features:
        shape = feature.sizes(group.params.replace(params, feature.name))
        shape = tuple(f"{name}_{d}{suffix}" if isinstance(d, str) else d for d in shape)
        row = {"name": feature.name + suffix, "dtype": feature.dtypes[0], "shape": shape, "params": params or None}
        rows.append(row)
    return rows
