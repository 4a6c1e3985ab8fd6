"""Whatever is asked for, in whatever order, batch, thread, lane or memory: the same frame gives the same bytes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perceptum.builders import Draw, InputBuilder, Pool, split
from perceptum.datasets import memory_log
from perceptum.features import Stack
from perceptum.inputs import Poses

from .cameras import picture
from .held import HeldCrew
from .keeper import Keeper
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
    "acme_graph": [{}, {"per_node": 5}],
    "acme_sparse": [{}, {"size": 23}],
}
IMAGES = [
    {"cameras": ["front", "left"], "resize": 0.4, "crop": [20, 30], "crop_at": [1, 0.5]},
    {"cameras": ["left", "gone", "front"], "resize": [30, 50], "flip": True, "rotate": 4, "pad_multiple": 16},
    {"cameras": ["front"]},
]
"""Of one suffix all that is of cameras has the same."""
UNSTACKABLE = "acme_stacked"


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Threads share even small clouds."""
    monkeypatch.setattr(split, "_FEWEST", 64)


@pytest.fixture(scope="module")
def drive(sweep_of, street):
    """Eight frames on a curve: large, small and empty clouds, some points not finite, in float32 and float64; two
    radars, one of which begins late; and two cameras, which miss frames, and of which one has several sizes."""
    times = T0 + np.arange(8) * 50 * MS
    turns = np.column_stack([np.cos(0.01 * np.arange(8)), *np.zeros((2, 8)), np.sin(0.01 * np.arange(8))])
    poses = Poses(times, turns, np.outer(np.arange(8), [0.4, 0.1, 0]) + np.array([5e5, 4e6, 100]))
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
    log = memory_log(sweeps, radars=radars, poses=poses, cameras=pictures)
    log.camera_tolerance_ns = 10 * MS
    return log


@st.composite
def specs(draw):
    """Rows of any features, each group under its own choice of params; sometimes a second instance of one."""
    chosen = draw(st.lists(st.sampled_from([f.name for f in SCHEMA]), min_size=1, max_size=8, unique=True))
    frame = draw(st.sampled_from(["ego", "lidar"]))
    images = {suffix: draw(st.sampled_from(IMAGES)) for suffix in ("", "__b")}
    choice, rows = {}, []
    for name in chosen:
        for suffix in draw(st.sampled_from([[""], [""], ["__b"], ["", "__b"]])):
            group = SCHEMA.group_of(name)
            key = (group.name, suffix)
            if key not in choice:
                picked = dict(draw(st.sampled_from(CHOICES.get(group.name, [{}]))))
                parts = {"frame": frame, "image": images[suffix]}
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


def alone(row, frame, draw, k):
    """What a builder of its own makes of one row, remembered."""
    key = repr((row, k, draw))
    if key not in _alone:
        array = InputBuilder([row], schema=SCHEMA).build(frame, draw=draw)[row["name"]]
        _alone[key] = (array.dtype.str, array.shape, array.tobytes())
    return _alone[key]


def shown(array):
    return array.dtype.str, array.shape, array.tobytes()


@pytest.mark.slow
@settings(max_examples=120, deadline=None, suppress_health_check=[*HealthCheck])
@given(data=st.data())
def test_no_byte_depends_on_what_else_is_built_or_how(drive, data):
    rows = data.draw(specs(), label="spec")
    more = data.draw(st.none() | specs(), label="the other model's spec")
    options = {"threads": data.draw(st.sampled_from([1, 2, 3])), "writable": data.draw(st.booleans())}
    wanted = rows if more is None else {"one": rows, "other": more}
    builder = InputBuilder(wanted, schema=SCHEMA, **options)
    models = {"one": rows} if more is None else wanted
    kind = data.draw(st.sampled_from([None, None, Pool, Keeper]), label="memory")
    memory = None if kind is None else {name: kind() for name in models}
    into = next(iter(memory.values())) if memory and more is None else memory

    def check(k, draw):
        built = builder.build(drive[k], draw=draw, into=into)
        built = {"one": built} if more is None else built
        for name, own in models.items():
            for row in own:
                assert shown(built[name][row["name"]]) == alone(row, drive[k], draw, k), (name, row)

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
    for _ in range(2):
        batch = builder.build_batch([drive[k] for k in picked], into=into)
        batch = {"one": batch} if more is None else batch
        for name, own in models.items():
            for row in own:
                nodes = [numbered_rows(row, drive[k], k) for k in picked]
                check_batch(row, batch[name], [alone(row, drive[k], None, k) for k in picked], nodes)


def stacks(row):
    """Whether a batch can be made of it: not of what is stacked, and has another size in every frame."""
    feature = SCHEMA[row["name"].partition("__")[0]]
    sized = all(isinstance(dim, int) for dim in row["shape"])
    return not row["name"].startswith(UNSTACKABLE) and (feature.collate != Stack() or sized)


def numbered_rows(row, frame, k):
    """How many rows a frame has of what the values of `row` count."""
    if not row["name"].startswith("lidar_point_voxel_id"):
        return frame.time_ns // 1000 % 7
    coords = {"name": "lidar_voxel_coords", "dtype": "int32", "shape": ("n", 3), "params": row["params"]}
    return alone(coords, frame, None, k)[1][0]


def check_batch(row, batch, single, nodes):
    name, suffix = row["name"].partition("__")[::2]
    feature, group = SCHEMA[name], SCHEMA.group_of(name)
    array = batch[row["name"]]
    if feature.collate == Stack() or all(isinstance(dim, int) for dim in row["shape"]):
        for place, expected in enumerate(single):
            assert shown(array[place]) == expected, row
        return
    # a group's other sizes have beginnings of their own
    base = name if name in ("acme_edges", "radar_valid", "lidar_point_voxel_id") else group.name
    starts = batch[f"{base}{'__' + suffix if suffix else ''}_batch_ptr"]
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
@pytest.mark.parametrize("group", [group.name for group in SCHEMA.groups])
def test_two_models_that_want_the_same_tensors_get_them(drive, group):
    """They share the filler, and it fills side by side: it is stopped before each of its lines until all other tensors
    are there."""
    # pictures are decoded behind a lock, where every line is waited for in vain
    every = 5 if "image" in SCHEMA.group(group).params.parts() else 1
    for params in choices_of(group):
        rows = rows_of_group(group, params)
        builder = InputBuilder({"one": rows, "other": rows}, schema=SCHEMA)
        for built, where in held_builds(builder, drive[4], lambda label: label.startswith("one/"), every):
            for name, row in product(built, rows):
                assert shown(built[name][row["name"]]) == alone(row, drive[4], None, 4), (name, row, where)


@pytest.mark.slow
def test_stages_that_run_side_by_side_on_what_they_share_change_no_byte(drive):
    """Each is stopped before some of its lines until all others are done."""
    rows = []
    for group in SCHEMA.groups:
        for k, params in enumerate(choices_of(group.name)):
            # a suffix of its own: rows that belong to another group's would have to have its params
            rows += rows_of_group(group.name, params, f"__{group.name}_{k}")
    builder = InputBuilder(rows, schema=SCHEMA)
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
