"""Points in one pass: whatever a record's columns are made of, wherever its blocks and halves end."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from perceptum.builders import InputBuilder, split
from perceptum.builders.kernels import bev, cells, load, motion, pillars, points, record, rows, voxel_means, voxels
from perceptum.builders.kernels.range_image import cells as image_cells
from perceptum.builders.kernels.range_image import channels as image_channels
from perceptum.builders.kernels.range_image import points as image_points
from perceptum.builders.kernels.range_image import shown as image_shown
from perceptum.features import canonical
from perceptum.inputs import LidarSweep, Poses
from perceptum.inputs.poses import rigid

NAMES = [f.name for f in canonical() if f.name.startswith(("lidar", "radar", "camera", "ego_pose"))]
MS = 1_000_000
T0 = 1_700_000_000_000_000_000
ALL = ["x", "y", "z", "intensity", "time_lag", "ring"]
MOUNT = rigid(Rotation.from_euler("zyx", [0.3, 0.1, -0.2]).as_matrix(), [1.2, -0.3, 1.8])
POSES = Poses(
    T0 + np.arange(8) * 50 * MS,
    Rotation.from_euler("z", 0.02 * np.arange(8)[:, None]).as_quat(scalar_first=True),
    np.column_stack([0.5 * np.arange(8), 0.01 * np.arange(8), np.zeros(8)]),
)


@pytest.fixture
def small_parts(monkeypatch):
    """Threads share even the smallest clouds."""
    monkeypatch.setattr(split, "_FEWEST", 1)


def as_lying(column, layout):
    """The same values in memory of another layout."""
    n, size = len(column), column.dtype.itemsize
    if layout == "side by side":
        return np.ascontiguousarray(column)
    if layout == "rows of five":
        rows = np.zeros((n, 5), column.dtype)
        rows[:, 3] = column
        return rows[:, 3]
    if layout == "backwards":
        return np.ascontiguousarray(column[::-1])[::-1]
    if layout == "odd addresses":
        packed = np.zeros(
            n, np.dtype({"names": ["v"], "formats": [column.dtype], "offsets": [1], "itemsize": size + 3})
        )
        packed["v"] = column
        return packed["v"]
    if layout == "one for all":
        return np.broadcast_to(column[:1], (n,)) if n else column
    if layout == "read-only":
        held = column.copy()
        held.flags.writeable = False
        return held
    return column.astype(column.dtype.newbyteorder(">"))


LAYOUTS = ["side by side", "rows of five", "backwards", "odd addresses", "one for all", "read-only", "big-endian"]
XYZ_DTYPES = ["f2", "f4", "f8", "i2", "i4", "i8", "u1", "u2", "g"]
OTHER_DTYPES = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "?"]
TIME_DTYPES = ["i4", "i8", "u4", "u1", "f8"]


def expected(sweep, mode="raw", close=0.0, drop=False, move=None, times_ns=0):
    """Slow: each column to float64 as a whole; what is dropped, then what is moved."""
    with np.errstate(over="ignore", invalid="ignore"):
        x, y, z = (np.asarray(c).astype(np.float64) for c in (sweep.x, sweep.y, sweep.z))
        n = len(x)
        i = np.zeros(n, np.float32) if sweep.intensity is None else np.asarray(sweep.intensity).astype(np.float32)
        ring = np.full(n, -1, np.float32) if sweep.ring is None else np.asarray(sweep.ring).astype(np.float32)
    far = 2.0**100
    bad = ~((abs(x) < far) & (abs(y) < far) & (abs(z) < far))
    bad |= drop & ~(abs(i) < far)
    near = np.float64(np.float32(close))
    keep = ~bad & ~((abs(x) < near) & (abs(y) < near))
    with np.errstate(over="ignore", invalid="ignore"):
        i = i / np.float32(sweep.intensity_scale if mode == "unit" else 1)
        i = np.where(np.isfinite(i), i, np.float32(0))
        i = np.tanh(i) if mode == "tanh" else i
        points = np.stack([x, y, z], axis=1)
        if move is not None:
            points = points @ move[:3, :3].T + move[:3, 3]
        ring = np.where(np.isfinite(ring), ring, np.float32(-1))
        lag = (np.broadcast_to(times_ns, n) * 1e-9).astype(np.float32)
        out = np.column_stack([points.astype(np.float32), i.astype(np.float32), lag, ring])
    return out[keep], int(bad.sum())


@st.composite
def records(draw):
    n = draw(st.sampled_from([0, 1, 2, 7, 511, 512, 513, 1024, 1500]))
    random = np.random.default_rng(draw(st.integers(0, 1000)))

    def column(dtypes, values):
        dtype = np.dtype(draw(st.sampled_from(dtypes)))
        with np.errstate(over="ignore", invalid="ignore"):
            if dtype.kind in "iub":
                return as_lying(
                    np.abs(np.nan_to_num(values, posinf=9, neginf=9)).astype(np.int64).astype(dtype), draw(layouts)
                )
            if draw(st.booleans()):
                values = np.where(
                    random.random(n) < 0.2, random.choice([np.nan, np.inf, -np.inf, 1e30, 3e38], n), values
                )
            return as_lying(values.astype(dtype), draw(layouts))

    layouts = st.sampled_from(LAYOUTS)
    xyz = [column(XYZ_DTYPES, random.uniform(-4, 4, n)) for _ in range(3)]
    intensity = column(OTHER_DTYPES, random.uniform(0, 200, n)) if draw(st.booleans()) else None
    ring = column(OTHER_DTYPES, random.uniform(0, 64, n)) if draw(st.booleans()) else None
    offsets = None
    if draw(st.booleans()):
        offsets = random.integers(0, 200, n) if draw(st.booleans()) else np.full(n, 7)
        offsets = as_lying(offsets.astype(draw(st.sampled_from(TIME_DTYPES))), draw(layouts))
    return xyz, intensity, ring, offsets


@settings(max_examples=120, deadline=None)
@given(
    record=records(),
    mode=st.sampled_from(["raw", "unit", "tanh"]),
    close=st.sampled_from([0, 1, 2.7]),
    drop=st.booleans(),
    threads=st.sampled_from([1, 2, 3]),
)
def test_a_record_of_any_dtypes_and_layout_is_read_as_numpy_reads_it(
    memory_log, sweep_of, record, mode, close, drop, threads
):
    (x, y, z), intensity, ring, offsets = record
    sweep = sweep_of(np.zeros((0, 3)), time_ns=T0)
    more = {
        "intensity": intensity,
        "ring": ring,
        "offset_ns": offsets,
        "intensity_scale": 255.0,
        "compensated_to_ns": T0,
    }
    sweep = type(sweep)("top", T0, np.eye(4), x, y, z, **more)
    params = {"columns": ALL, "intensity_mode": mode, "remove_close": close}
    params["nonfinite_features"] = "drop" if drop else "zero"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split, "_FEWEST", 1)
        builder = InputBuilder(["lidar_points"], params={"lidar_points": params}, threads=threads)
        tensors = builder.build(memory_log([sweep])[0])
    got = tensors["lidar_points"]
    times = 0 if offsets is None else -np.asarray(offsets).astype(np.int64)
    wanted, bad = expected(sweep, mode, close, drop, times_ns=times)
    exact = [0, 1, 2, 4, 5] if mode == "tanh" else range(6)
    for column in exact:
        assert got[:, column].tobytes() == wanted[:, column].tobytes(), ALL[column]
    assert np.allclose(got[:, 3], wanted[:, 3], atol=1e-6)
    assert tensors.dropped["non-finite points"] == bad


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("close", [0, 2])
def test_points_are_moved_in_float64_and_narrowed_once(memory_log, sweep_of, build, dtype, close):
    xyz = np.random.default_rng(0).uniform(-9, 9, (1300, 3)).astype(dtype)
    sweep = sweep_of(xyz, time_ns=T0, ego_from_sensor=MOUNT)
    params = {"lidar_points": {"columns": ["x", "y", "z"], "remove_close": close}}
    got = build(["lidar_points"], memory_log([sweep])[0], params)["lidar_points"]
    kept = xyz.astype(np.float64)[~(abs(xyz[:, :2]) < close).all(axis=1)]
    t = MOUNT
    columns = [t[k, 0] * kept[:, 0] + t[k, 1] * kept[:, 1] + t[k, 2] * kept[:, 2] + t[k, 3] for k in range(3)]
    assert got.tobytes() == np.stack(columns, axis=1).astype(np.float32).tobytes()


@pytest.mark.parametrize("name", ["lidar_points", "lidar_range_image"])
@pytest.mark.parametrize("compensate", ["per_sweep", "per_point"])
def test_float64_coordinates_of_five_thousand_kilometres_lose_nothing(memory_log, sweep_of, build, name, compensate):
    """They became float32, half a metre apart, before they were moved to the car."""
    random = np.random.default_rng(1)
    near = random.uniform(-20, 20, (2000, 3))
    far = np.array([388_096.125, 4_948_996.375, 111.0])
    mount = rigid(np.eye(3), -far)
    offsets = random.integers(-20 * MS, 0, 2000)
    frames = []
    for xyz, where, origin in ((near + far, mount, far), ((near + far) - far, np.eye(4), np.zeros(3))):
        sweep = sweep_of(xyz, time_ns=T0 + 100 * MS, offset_ns=offsets, ego_from_sensor=where, origin=origin)
        frames.append(memory_log([sweep], POSES)[0])
    params = {"lidar_points": {"columns": ["x", "y", "z"], "compensate": compensate}}
    got = [build([name], frame, params if name == "lidar_points" else {})[name] for frame in frames]
    assert np.abs(got[0] - got[1]).max() < 1e-5


def test_of_the_offsets_only_those_of_points_that_are_kept_count(memory_log, sweep_of, build):
    """A dropped point may say any time: it must neither be an error nor change where the others go."""
    random = np.random.default_rng(2)
    xyz = random.uniform(3, 30, (1500, 3)).astype(np.float32)
    offsets = np.sort(random.integers(-30 * MS, 30 * MS, 1500))
    clean = sweep_of(xyz, time_ns=T0 + 100 * MS, offset_ns=offsets, ego_from_sensor=MOUNT)
    bad, wild = np.insert(xyz, [0, 700, 1500], np.nan, axis=0), np.insert(offsets, [0, 700, 1500], [2**62, -(2**62), 0])
    dirty = sweep_of(bad, time_ns=T0 + 100 * MS, offset_ns=wild, ego_from_sensor=MOUNT)
    got = [build(["lidar_points"], memory_log([sweep], POSES)[0])["lidar_points"] for sweep in (clean, dirty)]
    assert got[0].tobytes() == got[1].tobytes()


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_threads_share_the_points_and_change_no_byte(memory_log, sweep_of, small_parts, threads):
    """Halves end within sweeps and blocks; what is dropped leaves gaps of every size."""
    names = [f"{name}__own" if name.startswith("lidar_camera") else name for name in NAMES]
    random = np.random.default_rng(3)
    sweeps = []
    for k, n in enumerate([700, 0, 1, 1400, 3, 513]):
        xyz = random.uniform(-20, 20, (n, 3)).astype(np.float32)
        xyz[::13, 1] = np.nan
        more = {"offset_ns": random.integers(-40 * MS, 0, n), "ring": np.arange(n) % 32, "ego_from_sensor": MOUNT}
        sweeps.append(sweep_of(xyz, random.uniform(0, 9, n), T0 + 50 * MS * (k + 1), **more))
    log = memory_log(sweeps, POSES)
    grid = {"range": [-20, -20, -20, 20, 20, 20], "voxel": [4, 4, 40]}
    fine = {"range": [-20, -20, -20, 20, 20, 20], "voxel": [0.2, 0.2, 0.2]}
    cloud = {"num_sweeps": 6, "remove_close": 5}
    for chosen in ({"grid": grid}, {"grid": fine}, {"grid": fine, "max_voxels": 200}, {"grid": grid, "max_voxels": 60}):
        for more in ({}, {"overflow": "break", "max_points_per_voxel": 3, "columns": ["z", "x", "ring"]}):
            params = {
                "lidar_points": {**cloud, "columns": ALL},
                "lidar_voxels": {**cloud, **chosen, **more},
                "lidar_pillars": {**cloud, **chosen, **(more and {"overflow": "break", "order": "sorted"})},
                "lidar_bev_occupancy": {**cloud, "grid": fine, "overflow_slices": True},
                "lidar_bev_stats": {**cloud, "grid": grid},
            }
            one, many = (InputBuilder(names, params=params, threads=t) for t in (1, threads))
            for frame in (log[5], log[0], log[3], log[1], log[5]):
                wanted, got = one.build(frame), many.build(frame)
                assert {k: a.tobytes() for k, a in got.items()} == {k: a.tobytes() for k, a in wanted.items()}
                assert got.dropped == wanted.dropped


def test_kernels_are_compiled_once_whatever_a_record_is_made_of(memory_log, sweep_of):
    """Read-only arrays, other layouts and empty sweeps are other types to numba: seconds, in the middle of a drive."""
    # the voxels' points are all, those of lidar_points are cropped
    apart = ("lidar_point_voxel_id", "lidar_camera")
    names = [f"{name}__own" if name.startswith(apart) else name for name in NAMES]
    grid = {"range": [-20, -20, -20, 20, 20, 20], "voxel": [4, 4, 40]}
    params = {"lidar_voxels": {"grid": grid}, "lidar_bev_stats": {"grid": grid}}
    channels = ["range", "x", "intensity", "azimuth", "elongation", "time_lag", "occupancy"]
    params |= {"lidar_points": {"range": grid["range"]}}
    params |= {"lidar_range_image": {"xyz_frame": "ego", "channels": channels, "gaps": "windows"}}
    builder = InputBuilder(names, params=params)
    random = np.random.default_rng(0)

    def sweep(n, dtype, layout, mount, k):
        def lying(values, kind):
            return as_lying(values.astype(kind), layout)

        xyz = [lying(random.uniform(-20, 20, n), dtype) for _ in range(3)]
        more = {"intensity": lying(random.uniform(0, 9, n), "u1"), "ring": lying(np.arange(n) % 32, "u2")}
        more |= {"elongation": lying(random.uniform(0, 1, n), "f4"), "return_index": lying(np.arange(n) % 2, "u1")}
        more |= {"offset_ns": lying(random.integers(-40 * MS, 0, n), "i4"), "row_of_ring": np.arange(32, dtype="i4")}
        if layout == "read-only":
            mount = np.array(mount)
            mount.flags.writeable = False
            more["row_of_ring"].flags.writeable = False
        return LidarSweep("top", T0 + k * 50 * MS, mount, *xyz, **more)

    recorded = (POSES.times_ns, POSES.quaternions, POSES.translations)
    locked = Poses(*(as_lying(column, "read-only") for column in recorded))
    kinds = [
        (900, "f4", "side by side"),
        (900, "f8", "rows of five"),
        (0, "f4", "side by side"),
        (1, "f2", "read-only"),
    ]
    first = [sweep(*kind, MOUNT, k) for k, kind in enumerate(kinds)]
    for frame in memory_log(first, POSES):
        builder.build(frame)
    before = compiled()
    kinds = product((700, 0), ("f4", "f8", "f2"), ["side by side", "backwards", "read-only", "big-endian"])
    others = [sweep(*kind, MOUNT, 0) for kind in kinds]
    for poses in (POSES, locked):
        for sweeps in (others[:7], others[7:14], others[14:21], others[21:]):
            moved = [replace(sweep, time_ns=T0 + k * 50 * MS) for k, sweep in enumerate(sweeps)]
            for frame in memory_log(moved, poses):
                builder.build(frame)
    assert compiled() == before


def compiled():
    """Kernel -> the types that it was compiled for."""
    found = {}
    image = (image_cells, image_channels, image_points, image_shown)
    for module in (bev, cells, load, motion, pillars, points, record, rows, voxel_means, voxels, *image):
        for name, kernel in vars(module).items():
            if hasattr(kernel, "signatures"):
                found[f"{module.__name__}.{name}"] = len(kernel.signatures)
    return found
