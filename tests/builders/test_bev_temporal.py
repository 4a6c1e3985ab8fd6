"""lidar_bev_temporal and lidar_sweep_valid against slow loops in numpy, and against lidar_bev_occupancy."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from perceptum.builders import InputBuilder, split
from perceptum.features import SpecError, canonical
from perceptum.inputs import BrokenRecord, Log, MissingRecord, Poses

MS = 1_000_000
T0 = 1_700_000_000_000_000_000
GRID = {"range": [-8, -6, -1, 8, 6, 1], "voxel": [0.5, 0.75, 0.5]}
X, Y, Z = 32, 16, 4
NAMES = ["lidar_bev_temporal", "lidar_sweep_valid"]


def pose(k, offset=0.0):
    """(4, 4) world_from_ego of a car that drives a bend, at sweep k."""
    turn = 0.02 * k
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    matrix[:3, 3] = offset + 0.4 * k, offset + 0.1 * k, 0
    return matrix


def poses(n, offset=0.0):
    turns = 0.01 * np.arange(n)
    quaternions = np.column_stack([np.cos(turns), *np.zeros((2, n)), np.sin(turns)])
    return Poses(T0 + np.arange(n) * 50 * MS, quaternions, np.array([pose(k, offset)[:3, 3] for k in range(n)]))


def cloud(n, seed):
    return np.random.default_rng(seed).normal(0, (4, 3, 0.8), (n, 3)).astype(np.float32)


SIZES = [300, 0, 250, 40, 1, 200]


@pytest.fixture(scope="module")
def clouds():
    return [cloud(n, seed) for seed, n in enumerate(SIZES)]


@pytest.fixture(scope="module")
def drive(memory_log, sweep_of, clouds):
    sweeps = [sweep_of(xyz, time_ns=T0 + k * 50 * MS) for k, xyz in enumerate(clouds)]
    return memory_log(sweeps, poses(len(clouds)))


def view(xyz, overflow=False, most=1):
    """(Z, Y, X) of points in float32; counts stop at `most`."""
    counts = np.zeros((Z + 2 * overflow, Y, X))
    low, step = np.float32(GRID["range"][:3]), np.float32(GRID["voxel"])
    for ix, iy, iz in np.floor((xyz.astype(np.float32) - low) / step).astype(int):
        level = iz if 0 <= iz < Z else Z if iz < 0 else Z + 1
        if 0 <= ix < X and 0 <= iy < Y and level < len(counts):
            counts[level, iy, ix] += 1
    return np.minimum(counts, most)


def moved(xyz, then, now):
    now_from_then = np.linalg.inv(pose(now)) @ pose(then)
    return xyz.astype(np.float64) @ now_from_then[:3, :3].T + now_from_then[:3, 3]


def stack(clouds, now, sweeps, **how):
    """(T, Z, Y, X), the newest first, and which are there."""
    past = [now - t for t in range(sweeps)]
    nothing = np.zeros((0, 3), np.float32)
    views = [view(moved(clouds[k], k, now) if k >= 0 else nothing, **how) for k in past]
    return np.stack(views), np.array([k >= 0 for k in past], np.uint8)


def arrange(tzyx, time_axis, layout, bev_layout, flip_x, flip_y):
    """The tensor in every form that it may have, of (T, Z, Y, X)."""
    tzyx = tzyx[:, :, ::-1] if flip_y else tzyx
    tzyx = tzyx[:, :, :, ::-1] if flip_x else tzyx
    t, z = tzyx.shape[:2]
    if time_axis == "merged":
        channels = tzyx if layout == "TZ" else tzyx.swapaxes(0, 1)
        return channels.reshape(t * z, *tzyx.shape[2:]).transpose(["CYX".index(axis) for axis in bev_layout])
    axes = ["T", *bev_layout] if layout == "TZ" else [*bev_layout.replace("C", "CT")]
    return tzyx.transpose(["TCYX".index(axis) for axis in axes])


def built(frame, params, dtype="uint8", threads=1):
    whole = {"grid": GRID, **params}
    names = [{"name": NAMES[0], "dtype": dtype, "shape": shape_of(whole), "params": whole}]
    names.append({"name": NAMES[1], "dtype": "uint8", "shape": [whole["num_sweeps"]], "params": whole})
    return InputBuilder(names, threads=threads).build(frame)


def shape_of(params):
    tzyx = np.empty((params["num_sweeps"], Z + 2 * params.get("overflow_slices", False), Y, X))
    how = {key: params.get(key, default) for key, default in FORM.items()}
    return list(arrange(tzyx, **how).shape)


FORM = {"time_axis": "merged", "layout": "TZ", "bev_layout": "CYX", "flip_x": False, "flip_y": False}
FORMS = [
    dict(zip(FORM, values, strict=True))
    for values in product(["merged", "own"], ["TZ", "ZT"], ["CYX", "CXY", "YXC", "XYC"], [False], [False])
]
FORMS += [{**FORM, "flip_x": True}, {**FORM, "time_axis": "own", "bev_layout": "XYC", "flip_x": True, "flip_y": True}]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(map(str, form.values())))
def test_every_form_is_the_stack_of_the_definition(drive, clouds, form):
    tzyx, valid = stack(clouds, 5, 4, overflow=True, most=255)
    got = built(drive[5], {**form, "num_sweeps": 4, "overflow_slices": True, "binary": False})
    assert np.array_equal(got["lidar_bev_temporal"], arrange(tzyx, **form))
    assert np.array_equal(got["lidar_sweep_valid"], valid)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("now", range(len(SIZES)))
def test_a_sweep_that_is_missing_is_zero_and_not_valid(drive, clouds, now, dtype):
    """At the start of a log there are fewer; a sweep without points is there all the same."""
    tzyx, valid = stack(clouds, now, 4)
    got = built(drive[now], {"num_sweeps": 4}, dtype)
    assert got["lidar_bev_temporal"].dtype == dtype
    assert np.array_equal(got["lidar_bev_temporal"], tzyx.reshape(-1, Y, X))
    assert got["lidar_sweep_valid"].tolist() == valid.tolist() == [1] * min(now + 1, 4) + [0] * max(3 - now, 0)


@pytest.mark.parametrize("now", [1, 5])
def test_the_oldest_may_come_first(drive, clouds, now):
    """t counts from the oldest that is asked for, whether it is there or not."""
    tzyx, valid = stack(clouds, now, 4)
    got = built(drive[now], {"num_sweeps": 4, "oldest_first": True, "time_axis": "own"})
    assert np.array_equal(got["lidar_bev_temporal"], tzyx[::-1])
    assert np.array_equal(got["lidar_sweep_valid"], valid[::-1])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_neither_threads_nor_memory_used_before_change_a_view(monkeypatch, drive, clouds, threads):
    monkeypatch.setattr(split, "_FEWEST", 1)
    params = {"grid": GRID, "num_sweeps": 3, "binary": False}
    builder = InputBuilder(NAMES, params={"lidar_bev_temporal": params}, threads=threads)
    for now in (5, 0, 2, 1, 5, 4, 3, 5):
        got = builder.build(drive[now])
        tzyx, valid = stack(clouds, now, 3, most=255)
        assert np.array_equal(got["lidar_bev_temporal"], tzyx.reshape(-1, Y, X))
        assert np.array_equal(got["lidar_sweep_valid"], valid)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_the_nth_sweeps_of_all_lidars_share_a_view(monkeypatch, memory_log, sweep_of, threads):
    """Each lidar has a past of its own, whatever the others' times: one that began late has fewer."""
    monkeypatch.setattr(split, "_FEWEST", 1)
    front = [sweep_of(cloud(50, k), time_ns=T0 + k * 100 * MS, sensor="front") for k in range(4)]
    rear = [sweep_of(cloud(70, 9 + k), time_ns=T0 + (250 + k * 40) * MS, sensor="rear") for k in range(2)]
    times = T0 + np.arange(0, 301, 10) * MS
    frame = memory_log(front + rear, Poses.fixed(times), [T0 + 300 * MS])[0]
    got = built(frame, {"num_sweeps": 3, "time_axis": "own", "binary": False}, threads=threads)
    points = [[front[3], rear[1]], [front[2], rear[0]], [front[1]]]
    expected = [view(np.concatenate([np.column_stack([s.x, s.y, s.z]) for s in own]), most=255) for own in points]
    assert np.array_equal(got["lidar_bev_temporal"], expected)
    assert got["lidar_sweep_valid"].tolist() == [1, 1, 1]
    of_rear = built(frame, {"num_sweeps": 3, "sensors": ["rear"]}, threads=threads)
    assert of_rear["lidar_sweep_valid"].tolist() == [1, 1, 0]


def test_all_views_together_are_the_occupancy_of_all_sweeps(drive, build):
    """Property 5 of the reference's section 5.2, over time: no cell more, no point more."""
    shared = {"grid": GRID, "num_sweeps": 4}
    params = {"lidar_bev_occupancy": shared, "lidar_bev_temporal": {**shared, "time_axis": "own"}}
    for binary in (True, False):
        each = {name: {**own, "binary": binary} for name, own in params.items()}
        got = build(["lidar_bev_occupancy", "lidar_bev_temporal"], drive[5], each)
        stacked, occupancy = got["lidar_bev_temporal"], got["lidar_bev_occupancy"]
        assert np.array_equal(stacked.max(axis=0) if binary else stacked.sum(axis=0), occupancy)


def test_one_sweep_is_the_occupancy_of_that_sweep(drive, build):
    shared = {"grid": GRID, "num_sweeps": 1}
    params = {"lidar_bev_occupancy": shared, "lidar_bev_temporal": shared}
    got = build(["lidar_bev_occupancy", "lidar_bev_temporal"], drive[5], params)
    assert np.array_equal(got["lidar_bev_temporal"], got["lidar_bev_occupancy"])


def test_what_stands_still_stays_in_its_cell_however_the_car_moves_and_wherever(memory_log, sweep_of):
    """Also 5000 km from the world's origin."""
    still = np.array([[3.2, 2.6, 0.25], [-2.3, -1.1, -0.75]])
    for offset in (0.0, 5e6):
        sweeps = []
        for k in range(5):
            ego_from_world = np.linalg.inv(pose(k)) @ pose(4)
            xyz = still @ ego_from_world[:3, :3].T + ego_from_world[:3, 3]
            sweeps.append(sweep_of(xyz.astype(np.float32), time_ns=T0 + k * 50 * MS))
        log = memory_log(sweeps, poses(5, offset))
        got = built(log[4], {"num_sweeps": 5, "time_axis": "own"})["lidar_bev_temporal"]
        assert np.array_equal(got, [view(still)] * 5)


def test_sweeps_that_come_out_of_order_in_time_are_put_in_order(memory_log, sweep_of, clouds):
    """A frame's reference time decides what is past."""
    sweeps = [sweep_of(clouds[0], time_ns=T0 + k * MS) for k in (3, 0, 2, 1)]
    frame = memory_log(sweeps)[2]
    assert built(frame, {"num_sweeps": 4})["lidar_sweep_valid"].tolist() == [1, 1, 1, 0]


def test_a_frame_without_a_sweep_has_empty_views_unless_one_is_required(memory_log, sweep_of):
    frame = memory_log([sweep_of(np.zeros((1, 3)))], times_ns=[T0 - 1])[0]
    got = built(frame, {"num_sweeps": 2})
    assert not got["lidar_bev_temporal"].any()
    assert got["lidar_sweep_valid"].tolist() == [0, 0]
    with pytest.raises(MissingRecord, match="the spec requires one"):
        built(frame, {"num_sweeps": 2, "required": True})


def test_a_broken_record_that_the_log_skips_leaves_its_own_view_empty(memory_log, sweep_of, clouds):
    """The older ones keep their places."""
    sweeps = [sweep_of(clouds[0], time_ns=T0 + k * 50 * MS) for k in range(4)]
    source = memory_log(sweeps).source
    read = source.read_lidar

    def read_lidar(sensor, index):
        if index == 2:
            raise BrokenRecord("drive/2.bin: cut short")
        return read(sensor, index)

    source.read_lidar = read_lidar
    frame = Log(source, on_error="skip")[3]
    got = built(frame, {"num_sweeps": 4, "time_axis": "own"})
    assert got["lidar_sweep_valid"].tolist() == [1, 0, 1, 1]
    assert np.array_equal(got["lidar_bev_temporal"], [view(clouds[0]) * there for there in (1, 0, 1, 1)])


@pytest.mark.parametrize(("params", "there"), [({"sweep_step": 2}, [5, 3, 1]), ({"sweeps": "keyframes"}, [5, 2])])
def test_views_may_be_of_every_nth_sweep_or_of_keyframes(memory_log, sweep_of, clouds, params, there):
    sweeps = [sweep_of(xyz, time_ns=T0 + k * 50 * MS) for k, xyz in enumerate(clouds)]
    log = memory_log(sweeps, poses(len(clouds)), [T0 + 100 * MS, T0 + 250 * MS])
    got = built(log[1], {"num_sweeps": 3, "time_axis": "own", **params})
    expected = [view(moved(clouds[k], k, 5)) for k in there]
    assert np.array_equal(got["lidar_bev_temporal"][: len(there)], expected)
    assert not got["lidar_bev_temporal"][len(there) :].any()
    assert got["lidar_sweep_valid"].tolist() == [1] * len(there) + [0] * (3 - len(there))


def test_points_that_are_not_finite_or_outside_are_in_no_view(memory_log, sweep_of):
    awkward = [[np.nan, 0, 0], [0, np.inf, 0], [0, 0, -np.inf], [8, 0, 0], [0, 6, 0], [0, 0, 1], [-9, 0, 0]]
    # just below the upper edge, and at the lower one: in float32 the first is in the cell beyond
    edge = [[np.nextafter(np.float32(8), np.float32(0)), 0, 0], [7.99, 0, 0], [-8, -6, -1]]
    sweeps = [sweep_of(awkward, time_ns=T0), sweep_of(edge, time_ns=T0 + MS)]
    got = built(memory_log(sweeps)[1], {"num_sweeps": 2, "time_axis": "own"})["lidar_bev_temporal"]
    assert np.argwhere(got).tolist() == [[0, 0, 0, 0], [0, 2, 8, 31]]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"num_sweeps": 0}, "num_sweeps must be at least 1, got 0"),
        ({"layout": "TZYX"}, "layout is 'TZYX', wanted 'TZ' or 'ZT'"),
        ({"time_axis": "first"}, "time_axis is 'first', wanted 'merged' or 'own'"),
        ({"bev_layout": "ZYX"}, "bev_layout is 'ZYX', wanted 'CXY', 'CYX', 'XYC' or 'YXC'"),
    ],
)
def test_what_is_no_form_of_it_is_refused(params, message):
    with pytest.raises(SpecError) as error:
        InputBuilder(["lidar_bev_temporal"], params={"lidar_bev_temporal": params})
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("preset", "shape"),
    [
        ("faf", (5, 29, 400, 720)),
        ("intentnet", (290, 400, 720)),
        ("nmp", (250, 400, 700)),
        ("multixnet", (160, 625, 938)),
        ("motionnet", (5, 256, 256, 13)),
    ],
)
def test_presets_have_the_published_shapes(preset, shape):
    (row,) = canonical().spec(["lidar_bev_temporal"], {"lidar_bev_temporal": preset})
    assert row.shape == shape
