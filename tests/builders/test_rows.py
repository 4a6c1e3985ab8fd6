"""A point list that nothing else shares its points with is written row by row, without columns in between."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from perceptum.builders import InputBuilder, rows, split
from perceptum.builders.lidar.cloud import Cloud
from perceptum.builders.lidar.points import Points
from perceptum.inputs import Poses
from perceptum.inputs.cache import Cache
from perceptum.inputs.poses import rigid

from .keeper import Keeper

MS = 1_000_000
T0 = 1_700_000_000_000_000_000
COLUMNS = ["x", "y", "z", "intensity", "time_lag", "ring"]
MOUNT = rigid(Rotation.from_euler("zyx", [0.3, 0.1, -0.2]).as_matrix(), [1.2, -0.3, 1.8])
POSES = Poses(
    T0 + np.arange(8) * 50 * MS,
    Rotation.from_euler("z", 0.02 * np.arange(8)[:, None]).as_quat(scalar_first=True),
    np.column_stack([0.5 * np.arange(8), 0.01 * np.arange(8), np.zeros(8)]),
)


def sweeps_of(sweep_of, random, sizes, dtype, kind, share_near):
    """Sweeps as files have them: rows of five or four numbers, or a column for each quantity."""
    found = []
    for k, n in enumerate(sizes):
        width = {"rows of five": 5, "rows of four": 4, "columns": 4}[kind]
        table = random.uniform(-20, 20, (n, width)).astype(dtype)
        table[random.random(n) < share_near, :2] = 0.5
        table[:, 1][random.random(n) < share_near / 4] = np.nan
        table[:, 3][random.random(n) < share_near / 4] = np.inf
        table = np.asfortranarray(table) if kind == "columns" else table
        more = {"ring": np.arange(n, dtype="u2") % 32, "ego_from_sensor": MOUNT, "intensity_scale": 7.0}
        if k % 2:
            more["offset_ns"] = random.integers(-40 * MS, 0, n).astype("i4")
        found.append(sweep_of(table[:, :3], table[:, 3], time_ns=T0 + 50 * MS * (k + 1), **more))
    return found


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    sizes=st.lists(st.sampled_from([0, 1, 3, 127, 128, 129, 700]), min_size=1, max_size=5),
    dtype=st.sampled_from(["f4", "f4", "f2", "f8"]),
    kind=st.sampled_from(["rows of five", "rows of four", "columns"]),
    share_near=st.sampled_from([0.0, 0.01, 0.5]),
    columns=st.permutations(COLUMNS).flatmap(lambda names: st.integers(1, 6).map(lambda n: names[:n])),
    mode=st.sampled_from(["raw", "unit", "tanh"]),
    nonfinite=st.sampled_from(["zero", "drop"]),
    most=st.sampled_from([None, None, 5, 400]),
    threads=st.sampled_from([1, 2, 3]),
    past_caches=st.booleans(),
)
def test_rows_are_what_columns_give(
    memory_log, sweep_of, seed, sizes, dtype, kind, share_near, columns, mode, nonfinite, most, threads, past_caches
):
    sweeps = sweeps_of(sweep_of, np.random.default_rng(seed), sizes, dtype, kind, share_near)
    log = memory_log(sweeps, POSES)
    params = {"num_sweeps": 5, "remove_close": 1, "columns": columns, "intensity_mode": mode, "max_points": most}
    params |= {"nonfinite_features": nonfinite, "compensate": "per_point" if seed % 3 else "per_sweep"}
    cloud = {name: params[name] for name in ("num_sweeps", "remove_close", "intensity_mode", "nonfinite_features")}
    shared = {"lidar_points": params, "lidar_bev_occupancy": {**cloud, "compensate": params["compensate"]}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split, "_FEWEST", 1)
        patch.setattr(rows, "_PIECE", 100)
        patch.setattr(rows, "_PAST_CACHES_BYTES", 0 if past_caches else 2**60)
        columns_too = InputBuilder(["lidar_points", "lidar_bev_occupancy"], params=shared, threads=threads)
        alone = InputBuilder(["lidar_points"], params={"lidar_points": params}, threads=threads)
        counted = InputBuilder(["lidar_points", "lidar_num_points"], params={"lidar_points": params}, threads=threads)
        wanted = [columns_too.build(frame) for frame in log]
        got = [alone.build(frame) for frame in log]
        with_count = [counted.build(frame) for frame in log]
        batch = alone.build_batch(log)
        mine = InputBuilder(["lidar_points"], params={"lidar_points": params}, threads=threads)
        keeper = Keeper()
        kept = [mine.build(frame, into=keeper)["lidar_points"].tobytes() for frame in log]
    for k, tensors in enumerate(wanted):
        points = tensors["lidar_points"]
        assert (
            got[k]["lidar_points"].tobytes() == with_count[k]["lidar_points"].tobytes() == points.tobytes() == kept[k]
        )
        assert with_count[k]["lidar_num_points"].tolist() == [len(points)] == [len(got[k]["lidar_points"])]
        for reason in got[k].dropped:
            assert got[k].dropped[reason] == with_count[k].dropped[reason] == tensors.dropped[reason]
    ends = np.cumsum([0, *(len(tensors["lidar_points"]) for tensors in wanted)])
    assert batch["lidar_points"].tobytes() == b"".join(tensors["lidar_points"].tobytes() for tensors in wanted)
    assert batch["lidar_points_batch_ptr"].tolist() == ends.tolist()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_fixed_number_of_rows_holds_zeros_behind_the_points_that_were_kept(
    monkeypatch, memory_log, sweep_of, threads
):
    monkeypatch.setattr(split, "_FEWEST", 1)
    monkeypatch.setattr(rows, "_PIECE", 64)
    spec = [{"name": "lidar_points", "dtype": "float32", "shape": [600, 3]}]
    params = {"lidar_points": {"columns": ["x", "y", "z"], "remove_close": 1, "max_points": 600}}
    builder = InputBuilder(spec, params=params, threads=threads)
    random = np.random.default_rng(0)
    for n, share_near in ((600, 0), (600, 0.3), (900, 0.3), (900, 0.9), (10, 0), (600, 0)):
        xyz = random.uniform(2, 9, (n, 3)).astype("f4")
        xyz[random.random(n) < share_near] = 0.5
        got = builder.build(memory_log([sweep_of(xyz)])[0])["lidar_points"]
        kept = xyz[xyz[:, 0] != 0.5][:600]
        assert got[: len(kept)].tobytes() == kept.tobytes()
        assert not got[len(kept) :].any()
        del got


def test_what_is_handed_over_has_only_the_rows_that_were_kept(memory_log, sweep_of):
    xyz = np.float32([[2, 2, 2], [0, 0, 0], [3, 3, 3]])
    builder = InputBuilder(["lidar_points"], params={"lidar_points": {"remove_close": 1}})
    shapes = []
    tensors = builder.build(memory_log([sweep_of(xyz)])[0], on_ready=lambda model, name, a: shapes.append(a.shape))
    assert shapes == [(2, 5)] == [tensors["lidar_points"].shape]


def test_a_record_lives_no_longer_than_its_frame(memory_log, sweep_of, monkeypatch):
    sweep = sweep_of(np.ones((5, 3), "f4"))
    builder = InputBuilder(["lidar_points"])
    read = []

    def fresh(self, sensor, index):
        record = replace(sweep, x=sweep.x.copy())
        read.append(weakref.ref(record.x))
        return record

    log = memory_log([sweep])
    log.cache = Cache(0)
    monkeypatch.setattr(type(log.source), "read_lidar", fresh)
    tensors = builder.build(log[0])
    gc.collect()
    assert len(read) == 1
    assert read[0]() is None
    assert len(tensors["lidar_points"]) == 5


def test_a_stage_that_never_said_it_needs_columns_finds_them(memory_log, sweep_of, monkeypatch):
    """A stranger's stage may take a shared cloud and go straight to its points."""
    found = []
    run = Points.run

    def looking(self, sample):
        run(self, sample)
        cloud = next(stage for stage in self.needs if isinstance(stage, Cloud))
        found.append((cloud.rows is not None, cloud.points.values[:3].T.copy()))

    monkeypatch.setattr(Points, "run", looking)
    xyz = np.float32([[2, 2, 2], [0, 0, 0], [3, 3, 3]])
    frame = memory_log([sweep_of(xyz)])[0]
    builder = InputBuilder(["lidar_points"], params={"lidar_points": {"remove_close": 1}})
    for _ in range(2):
        tensors = builder.build(frame)
        as_rows, seen = found.pop()
        assert as_rows
        assert seen.tolist() == tensors["lidar_points"][:, :3].tolist() == [[2, 2, 2], [3, 3, 3]]
