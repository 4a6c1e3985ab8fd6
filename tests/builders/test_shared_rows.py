"""Voxels that several threads find together have the rows that one thread gives them."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.builders import InputBuilder, cpus
from perceptum.builders.crew import Crew
from perceptum.builders.voxel_rows import VoxelRows
from perceptum.features import Grid

SMALL = Grid(range=(0, 0, 0, 64, 64, 1), voxel=(0.5, 0.5, 1))
GRID = Grid(range=(0, 0, 0, 100, 100, 4), voxel=(0.05, 0.05, 0.1))
PLACES = 3
"""Of each row."""


def one_after_the_other(work, items):
    for item in items:
        work(item)


def at_once(work, items):
    with ThreadPoolExecutor(len(items)) as pool:
        start = threading.Barrier(len(items))
        list(pool.map(lambda item: (start.wait(), work(item)), items))


def rows_of(rows):
    """Point -> (row, place) among the rows of all."""
    found = {}
    for chosen, slots, numbers in rows.placed:
        for point, slot in zip(chosen.tolist(), slots.tolist(), strict=True):
            row = slot >> 32
            found[point] = (int(numbers[row]) if len(numbers) else row, slot & 0xFFFFFFFF)
    return found


def assert_same(shared, alone):
    assert shared.n == alone.n
    assert np.array_equal(shared.keys, alone.keys)
    assert np.array_equal(shared.counts, alone.counts)
    assert rows_of(shared) == rows_of(alone)


def clouds(grid, seed):
    """Ids of points in many cells, in few, in none, in one, and of none at all."""
    random = np.random.default_rng(seed)
    n = int(random.integers(1, 3000))
    span = int(random.choice([1, 5, 1000, grid.cells]))
    yield random.integers(-1, min(span, grid.cells), n)
    yield random.integers(grid.cells - min(span, grid.cells), grid.cells, n)
    yield np.full(n, -1)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@given(seed=st.integers(0, 2**32), owners=st.integers(2, 5), side_by_side=st.booleans())
@settings(max_examples=20, deadline=None)
def test_the_rows_are_those_of_one_thread(dtype, seed, owners, side_by_side):
    dtype = np.dtype(dtype)
    shared, alone = VoxelRows(GRID, dtype, owners), VoxelRows(GRID, dtype, 1)
    for ids in clouds(GRID, seed):
        ids = ids.astype(dtype)
        alone.assign(PLACES, len(ids), False, ids)
        each = at_once if side_by_side else one_after_the_other
        if shared.assign_shared(PLACES, len(ids), ids, owners, each):
            assert_same(shared, alone)
        else:
            # more than an owner has room for: then one thread does it, with the same memory
            shared.assign(PLACES, len(ids), False, ids)
            assert_same(shared, alone)


@pytest.mark.parametrize("is_busy", [True, False])
def test_rows_are_shared_only_with_a_thread_that_has_nothing_else_to_do(frame_of, build, street, monkeypatch, is_busy):
    """Together they look at every point twice: a frame whose pictures keep the other thread busy took longer."""
    params = {"lidar_voxels": {"grid": {"range": [-51.2, -51.2, -5, 51.2, 51.2, 3], "voxel": [0.1, 0.1, 0.2]}}}
    points = street(60_000)
    frame, names = frame_of(points[:, :3], points[:, 3]), ["lidar_voxels", "lidar_voxel_coords"]
    shared, wanted = [], build(names, frame, params)
    assign_shared = VoxelRows.assign_shared
    monkeypatch.setattr(VoxelRows, "assign_shared", lambda *given: shared.append(1) or assign_shared(*given))
    builder = InputBuilder(names, params=params, threads=2)
    with monkeypatch.context() as patch:
        patch.setattr(Crew, "spare", property(lambda crew: 0 if is_busy else 1))
        built = builder.build(frame)
    assert len(shared) == (0 if is_busy else 1)
    for name in names:
        assert np.array_equal(built[name], wanted[name]), name


def test_spread_points_are_shared():
    """Or the other tests would pass without a row that was found by several."""
    ids = np.random.default_rng(0).integers(0, GRID.cells, 20_000).astype(np.int32)
    rows = VoxelRows(GRID, ids.dtype, 4)
    assert rows.assign_shared(PLACES, len(ids), ids, 4, at_once)
    assert len(rows.placed) == 4
    points = [len(chosen) for chosen, _, _ in rows.placed]
    assert max(points) < 1.5 * min(points)


def test_one_more_voxel_than_fits_is_left_to_one_thread():
    ids = np.arange(200, dtype=np.int32)
    rows = VoxelRows(GRID, ids.dtype, 2)
    assert rows.assign_shared(PLACES, 200, ids, 2, one_after_the_other)
    assert not rows.assign_shared(PLACES, 199, ids, 2, one_after_the_other)
    rows.assign(PLACES, 199, False, ids)
    assert (rows.n, rows.lost) == (199, 1)
    assert rows.assign_shared(PLACES, 200, ids, 2, one_after_the_other)
    assert rows.keys.tolist() == ids.tolist()


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_the_places_of_one_thread_are_gathered_by_several(parts):
    ids = np.random.default_rng(0).integers(-1, SMALL.cells, 5000).astype(np.int32)
    rows, whole = VoxelRows(SMALL, ids.dtype, parts), VoxelRows(SMALL, ids.dtype, 1)
    rows.assign(PLACES, len(ids), False, ids, parts)
    whole.assign(PLACES, len(ids), False, ids)
    assert len(rows.placed) == parts
    assert_same(rows, whole)


def test_what_is_interrupted_leaves_no_row():
    ids = np.random.default_rng(0).integers(0, GRID.cells, 3000).astype(np.int32)
    rows, alone = VoxelRows(GRID, ids.dtype, 2), VoxelRows(GRID, ids.dtype, 1)
    alone.assign(PLACES, len(ids), False, ids)

    def interrupted(work, items):
        work(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rows.assign_shared(PLACES, len(ids), ids[::-1].copy(), 2, interrupted)
    assert rows.assign_shared(PLACES, len(ids), ids, 2, at_once)
    assert_same(rows, alone)


@pytest.mark.parametrize("each", [one_after_the_other, at_once])
@pytest.mark.parametrize("grid", [SMALL, GRID], ids=["id table", "hash"])
def test_rows_without_places_are_the_same(grid, each):
    """By one thread after the other, or by three of which one waits for the other; with points after the last chunk."""
    random = np.random.default_rng(0)
    alone, found = VoxelRows(grid, np.dtype(np.int32), 1), VoxelRows(grid, np.dtype(np.int32), 3)
    for n, most, stop in (
        (40_000, 40_000, False),
        (16_384, 90, False),
        (40_000, 50, True),
        (0, 0, False),
        (1, 1, False),
    ):
        ids = random.integers(-1, 4000, n).astype(np.int32)
        alone.assign(n, most, stop, ids)
        assert found.find(most, stop, ids[None], parts=3, each=each)
        assert (found.n, found.lost) == (alone.n, alone.lost)
        assert np.array_equal(found.keys, alone.keys)
        assert np.array_equal(found.counts, alone.counts)
        rows = np.full(n, -1)
        chosen, slots, _ = alone.placed[0]
        rows[chosen] = slots >> 32
        assert np.array_equal(found.of_points, rows)


def test_a_table_is_cleared_before_its_numbers_run_out():
    """Each frame's rows have greater numbers in it than all before, up to what int32 holds."""
    ids = np.random.default_rng(0).integers(0, GRID.cells, 3000).astype(np.int32)
    rows, alone = VoxelRows(GRID, ids.dtype, 1), VoxelRows(GRID, ids.dtype, 1)
    alone.assign(PLACES, len(ids), False, ids)
    rows._base = 2**31 - 3 * len(ids)
    for _ in range(4):
        rows.assign(PLACES, len(ids), False, ids)
        assert_same(rows, alone)
    assert rows._base < 3 * len(ids)


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs to choose from"
)
def test_a_thread_leaves_the_cpu_of_another():
    allowed, seen = os.sched_getaffinity(0), []

    def leave():
        here = cpus.cpu()
        cpus.leave(here)
        # it may be moved again at any time, but not for being moved
        seen.append((here, cpus.cpu(), os.sched_getaffinity(0)))

    for _ in range(20):
        thread = threading.Thread(target=leave)
        thread.start()
        thread.join()
    assert all(then == allowed for _, _, then in seen)
    assert any(before != after for before, after, _ in seen)


def test_a_thread_stays_where_it_must(monkeypatch):
    """Where the system does not know the CPU, or refuses another."""
    cpus.leave(-1)
    here = cpus.cpu()
    if here >= 0:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {here})
        cpus.leave(here)

        def refuse(*_):
            raise PermissionError("not allowed")

        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {here, here + 1})
        monkeypatch.setattr(os, "sched_setaffinity", refuse)
        cpus.leave(here)
