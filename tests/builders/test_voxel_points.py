"""Means of voxels, which voxel each point is in, and the order of the rows, against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.builders import InputBuilder, split
from perceptum.features import Spec, SpecError, canonical

VOXELS = ["lidar_voxels", "lidar_voxel_coords", "lidar_voxel_num_points"]
NAMES = [*VOXELS, "lidar_voxel_mean", "lidar_point_voxel_id"]
# the id table, the hash, and beyond int32
GRIDS = {
    "tiny": {"range": [-2, -2, -1, 2, 2, 1], "voxel": [0.5, 0.5, 0.5]},
    "hash": {"range": [-51.2, -51.2, -5, 51.2, 51.2, 3], "voxel": [0.1, 0.1, 0.2]},
    "int64": {"range": [-200, -200, -20, 200, 200, 20], "voxel": [0.1, 0.1, 0.2]},
}
COLUMNS = ["x", "y", "z", "intensity"]


def params(grid, **more):
    own = {"grid": grid, "columns": COLUMNS, "intensity_mode": "raw", "max_points_per_voxel": 3, **more}
    return {"lidar_voxels": own}


def cells_of(points, grid):
    """(N, 3) int64 x y z, and whether each lies in the grid; section 2.3 of the definition, in float32."""
    low, voxel = np.float32(grid["range"][:3]), np.float32(grid["voxel"])
    size = np.round((np.float32(grid["range"][3:]) - low) / voxel)
    with np.errstate(over="ignore"):
        cells = np.floor((points[:, :3] - low) / voxel)
    inside = ((cells >= 0) & (cells < size)).all(axis=1)
    return np.where(inside[:, None], cells, 0).astype(np.int64), inside


def voxels_of_points(points, grid, most=None, stop=False, order="first_seen"):
    """The rows' cells (M, 3) x y z, and each point's row, one point at a time."""
    cells, inside = cells_of(points, grid)
    rows, found = {}, np.full(len(points), -1)
    for i in np.flatnonzero(inside):
        cell = tuple(cells[i].tolist())
        if cell not in rows and len(rows) == most:
            if stop:
                break
            continue
        found[i] = rows.setdefault(cell, len(rows))
    coords = np.array(list(rows), dtype=np.int64).reshape(-1, 3)
    if order != "first_seen":
        by = coords[:, ::-1] if order == "sorted" else coords
        ranks = np.lexsort(by.T[::-1])
        places = np.empty_like(ranks)
        places[ranks] = np.arange(len(ranks))
        coords, found = coords[ranks], np.where(found < 0, -1, places[found] if len(places) else -1)
    return coords, found


def means(points, found, rows, most, dtype):
    """Sums in the order of the points, from 0, in one dtype, over the number of points, cast once."""
    sums, counts = np.zeros((rows, points.shape[1]), dtype), np.zeros(rows, dtype)
    for point, row in zip(points, found, strict=True):
        if row >= 0 and counts[row] < most:
            sums[row] += point.astype(dtype)
            counts[row] += 1
    return (sums / np.maximum(counts, 1)[:, None]).astype(np.float32)


def assert_as_defined(tensors, points, grid, mean_of="kept", most_points=3, **rows):
    coords, found = voxels_of_points(points, grid, **rows)
    assert tensors["lidar_voxel_coords"].tolist() == coords[:, ::-1].tolist()
    assert tensors["lidar_point_voxel_id"].dtype == np.int32
    assert tensors["lidar_point_voxel_id"].tolist() == found.tolist()
    of_all = means(points, found, len(coords), np.inf, np.float64)
    wanted = means(points, found, len(coords), most_points, np.float32) if mean_of == "kept" else of_all
    assert tensors["lidar_voxel_mean"].tobytes() == wanted.tobytes()
    for row, voxel in enumerate(tensors["lidar_voxels"]):
        own = points[found == row][:most_points]
        assert tensors["lidar_voxel_num_points"][row] == len(own)
        assert voxel.tobytes() == np.concatenate([own, np.zeros((most_points - len(own), 4), np.float32)]).tobytes()


@pytest.fixture(params=[1, 3])
def threads(request, monkeypatch):
    """One, or several that share even small clouds."""
    monkeypatch.setattr(split, "_FEWEST", 64)
    return request.param


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("order", ["first_seen", "sorted", "sorted_xyz"])
@pytest.mark.parametrize("mean_of", ["kept", "all"])
def test_means_rows_and_their_order_are_those_of_the_definition(frame_of, street, threads, grid, order, mean_of):
    points = street(1500, seed=4)
    points[:300, :3] /= 30
    own = params(grid, max_voxels=None, order=order, mean_of=mean_of)
    builder = InputBuilder(NAMES, params=own, threads=threads)
    for n in (1500, 40, 0, 1500, 1):
        tensors = builder.build(frame_of(points[:n, :3], points[:n, 3]))
        assert_as_defined(tensors, points[:n], grid, mean_of, order=order)


@pytest.mark.parametrize("overflow", ["continue", "break"])
@pytest.mark.parametrize("order", ["first_seen", "sorted"])
def test_points_that_max_voxels_drops_have_no_row_and_are_in_no_mean(frame_of, street, threads, overflow, order):
    """The cut is by the order of the points; what is left is sorted."""
    points = street(900, seed=1)
    for most in (1, 7, 60):
        for mean_of in ("kept", "all"):
            own = params(GRIDS["hash"], max_voxels=most, overflow=overflow, order=order, mean_of=mean_of)
            tensors = InputBuilder(NAMES, params=own, threads=threads).build(frame_of(points[:, :3], points[:, 3]))
            stop = overflow == "break"
            assert_as_defined(tensors, points, GRIDS["hash"], mean_of, most=most, stop=stop, order=order)


@pytest.mark.parametrize("grid", ["tiny", "hash"])
@pytest.mark.parametrize("names", [["lidar_point_voxel_id"], ["lidar_voxel_mean", "lidar_point_voxel_id"]])
def test_threads_that_follow_each_other_write_what_one_writes(frame_of, street, names, grid):
    """Clouds of several chunks; also where a point is dropped, so that the others cannot stay where they were recorded,
    where a cloud that can follows one that cannot, and where columns are strided."""
    points = street(3000, seed=4)[np.random.default_rng(0).integers(0, 3000, 50_000)]
    points[:, :3] += np.random.default_rng(1).normal(0, 0.5, (50_000, 3)).astype(np.float32)
    strided, points = points, np.asfortranarray(points)
    bad = points.copy(order="F")
    bad[49_999, 1] = np.nan
    for more in ({"max_voxels": None}, {"max_voxels": 300, "overflow": "break"}, {"order": "sorted"}):
        one, *others = (
            InputBuilder(names, params=params(GRIDS[grid], **more), threads=threads) for threads in (1, 2, 3)
        )
        for cloud in (points, bad, strided, points[:40_000], points[:0], points):
            frame = frame_of(cloud[:, :3], cloud[:, 3])
            wanted = one.build(frame)
            for other in others:
                found = other.build(frame)
                assert found.dropped == wanted.dropped
                for name in names:
                    assert found[name].tobytes() == wanted[name].tobytes()


@pytest.mark.parametrize("columns", [COLUMNS, ["x", "intensity"]])
def test_means_of_the_largest_numbers_are_numbers(frame_of, build, columns):
    """Their float32 sum is infinite."""
    largest = np.finfo(np.float32).max
    points = np.float32([[0.1, 0.1, 0.1, largest]] * 3 + [[1, 1, 0.1, -largest]] * 2)
    own = params(GRIDS["tiny"], columns=columns)
    means = build(["lidar_voxel_mean"], frame_of(points[:, :3], points[:, 3]), own)["lidar_voxel_mean"]
    assert means[:, -1].tolist() == [largest, -largest]


@settings(max_examples=40, deadline=None)
@given(
    cells=st.lists(st.tuples(*[st.integers(-1, 8)] * 3), max_size=50),
    order=st.sampled_from(["first_seen", "sorted", "sorted_xyz"]),
    most=st.none() | st.integers(1, 9),
)
def test_points_on_cell_borders_and_one_float_below_go_where_the_definition_says(frame_of, build, cells, order, most):
    edges = np.float32(cells).reshape(-1, 3) * np.float32(0.5) - np.float32([2, 2, 1])
    below = np.nextafter(edges, np.float32(-9))
    points = np.column_stack([np.stack([edges, below, edges], axis=1).reshape(-1, 3), np.zeros(3 * len(edges))])
    points = points.astype(np.float32)
    own = params(GRIDS["tiny"], max_voxels=most, order=order, mean_of="all")
    tensors = build(NAMES, frame_of(points[:, :3], points[:, 3]), own)
    assert_as_defined(tensors, points, GRIDS["tiny"], "all", most=most, order=order)


def test_numpy_knows_the_same_partition(frame_of, build, street):
    """np.unique sorts by z, y, x."""
    points = street(3000)
    own = params(GRIDS["hash"], max_voxels=None, order="sorted")
    tensors = build(NAMES, frame_of(points[:, :3]), own)
    cells, inside = cells_of(points, GRIDS["hash"])
    coords, back = np.unique(cells[inside][:, ::-1], axis=0, return_inverse=True)
    assert np.array_equal(tensors["lidar_voxel_coords"], coords)
    assert np.array_equal(tensors["lidar_point_voxel_id"][inside], back.reshape(-1))


@pytest.mark.parametrize("columns", [["x", "y", "z"], ["z", "intensity"], ["x", "y", "z", "intensity", "time_lag"]])
@pytest.mark.parametrize("mean_of", ["kept", "all"])
def test_a_mean_has_the_columns_that_are_asked_for(frame_of, build, street, columns, mean_of):
    points = street(600, seed=2)
    own = {"lidar_voxels": {"grid": GRIDS["hash"], "columns": columns, "mean_of": mean_of, "max_points_per_voxel": 600}}
    tensors = build(NAMES, frame_of(points[:, :3], points[:, 3]), own)
    wanted = tensors["lidar_voxels"].sum(axis=1, dtype=np.float64) / tensors["lidar_voxel_num_points"][:, None]
    assert np.allclose(tensors["lidar_voxel_mean"], wanted, rtol=1e-6, atol=1e-6)


def test_a_point_that_is_not_finite_is_not_in_the_cloud_and_has_no_id(frame_of, build):
    xyz = np.float32([[0.1, 0.1, 0.1], [np.nan, 0, 0], [99, 0, 0], [0, np.inf, 0], [0.2, 0.2, 0.2]])
    tensors = build(["lidar_points", *NAMES], frame_of(xyz), params(GRIDS["tiny"]))
    assert len(tensors["lidar_points"]) == 3
    assert tensors["lidar_point_voxel_id"].tolist() == [0, -1, 0]


@pytest.mark.parametrize("rows", [2, 30])
def test_a_fixed_number_of_points_pads_ids_with_none_or_keeps_the_first(frame_of, street, rows):
    frame, own = frame_of(street(20)[:, :3]), params(GRIDS["hash"])["lidar_voxels"]
    row = {"name": "lidar_point_voxel_id", "dtype": "int32", "params": own}
    whole = InputBuilder([{**row, "shape": ["n"]}]).build(frame)["lidar_point_voxel_id"]
    builder = InputBuilder([{**row, "shape": [rows]}])
    for _ in range(2):
        fixed = builder.build(frame)["lidar_point_voxel_id"]
        assert fixed.tolist() == [*whole[:rows].tolist(), *[-1] * (rows - 20)]


def test_ids_and_points_share_a_symbol_where_they_are_of_the_same_points():
    points = {"name": "lidar_points", "dtype": "float32", "shape": ["n", 5]}
    ids = {"name": "lidar_point_voxel_id", "dtype": "int32", "shape": ["n"]}
    canonical().resolve(Spec.of([points, {**ids, "params": {"max_voxels": None, "mean_of": "all"}}]))
    for other in ({"params": {"num_sweeps": 2}}, {"params": {"remove_close": 1}}):
        with pytest.raises(SpecError, match=r"^the symbol 'n' has one value across a spec"):
            canonical().resolve(Spec.of([points, {**ids, **other}]))
    with pytest.raises(SpecError, match="use two symbols"):
        canonical().resolve(Spec.of([{**points, "params": {"max_points": 9}}, ids]))


def test_ids_in_a_batch_count_the_rows_of_all_frames(memory_log, sweep_of, street):
    log = memory_log([sweep_of(street(n, seed=n)[:, :3], time_ns=10**18 + n) for n in (50, 70, 90)])
    names = ["lidar_voxel_coords", "lidar_point_voxel_id"]
    builder = InputBuilder(names, params=params(GRIDS["tiny"]))
    batch = builder.build_batch(list(log))
    ids, starts = batch["lidar_point_voxel_id"], batch["lidar_point_voxel_id_batch_ptr"]
    assert starts.tolist() == [0, 50, 120, 210]
    for place, frame in enumerate(log):
        alone = builder.build(frame)
        own = ids[starts[place] : starts[place + 1]]
        assert np.array_equal(own < 0, alone["lidar_point_voxel_id"] < 0)
        inside = own >= 0
        coords = batch["lidar_voxel_coords"][own[inside]]
        assert np.array_equal(coords[:, 0], np.full(inside.sum(), place))
        assert np.array_equal(coords[:, 1:], alone["lidar_voxel_coords"][alone["lidar_point_voxel_id"][inside]])


def test_means_of_padding_rows_are_zero(frame_of, build):
    for points in (np.zeros((0, 3)), np.float32([[1, 1, 0.5]])):
        for mean_of in ("kept", "all"):
            own = params(GRIDS["tiny"], min_rows=3, mean_of=mean_of)
            tensors = build(NAMES, frame_of(points), own)
            assert tensors["lidar_voxel_mean"].shape == (3, 4)
            assert not tensors["lidar_voxel_mean"][len(points) :].any()
            assert tensors["lidar_point_voxel_id"].tolist() == [0] * len(points)


def test_ids_alone_read_no_intensity(frame_of):
    """Only what is asked: the cells need x, y, z."""
    builder = InputBuilder(["lidar_point_voxel_id"])
    builder.build(frame_of([[1, 2, 0]], np.array([7])))
    cloud = next(stage for stage in builder._lanes[0].stages if stage.title.startswith("cloud"))
    assert sorted(column.name for column in cloud.points.wanted) == ["X", "Y", "Z"]


@pytest.mark.parametrize(
    "names", [["lidar_voxels", "lidar_pillar_features"], ["lidar_pillar_features", "lidar_voxels"]]
)
def test_voxels_and_pillars_of_one_grid_share_their_rows(frame_of, street, names):
    grid, frame = GRIDS["hash"], frame_of(street(500)[:, :3])
    own = {
        "lidar_voxels": {"grid": grid, "max_voxels": 60_000, "max_points_per_voxel": 2},
        "lidar_pillars": {"grid": grid, "max_points_per_voxel": 5},
    }
    builder = InputBuilder(names, params=own)
    tensors = builder.build(frame)
    assert sum(stage.title.startswith("voxel rows") for stage in builder.explain().stages) == 1
    for name in names:
        alone = InputBuilder([name], params={canonical().group_of(name).name: own[canonical().group_of(name).name]})
        assert alone.build(frame)[name].tobytes() == tensors[name].tobytes()
