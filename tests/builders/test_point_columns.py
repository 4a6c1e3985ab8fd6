"""The columns that few ask for, rings by elevation, heights above the ground, and which sweeps a cloud has."""

from __future__ import annotations

import numpy as np
import pytest

from perceptum.builders import InputBuilder
from perceptum.datasets import memory_log
from perceptum.inputs import GroundGrid, HDMap, MissingRecord

T0 = 1_700_000_000_000_000_000
MS = 1_000_000
COLUMNS = ["x", "elongation", "return_index", "offset_ns", "ring", "height_above_ground"]


def points_params(**params):
    return {"lidar_points": params}


@pytest.fixture(scope="module")
def columned(sweep_of):
    """columned(n, seed): a sweep of n points with all columns, of which some points are not finite or close."""

    def make(n, seed=0, **more):
        random = np.random.default_rng(seed)
        xyz = random.normal(0, 10, (n, 3)).astype(np.float32)
        xyz[random.random(n) < 0.1] = np.nan
        xyz[random.random(n) < 0.1] = 0.1
        columns = {
            "intensity": np.where(random.random(n) < 0.1, np.nan, random.random(n)).astype(np.float32),
            "ring": random.integers(0, 8, n).astype(np.uint8),
            "offset_ns": random.integers(0, 100 * MS, n).astype(np.int32),
            "elongation": np.where(random.random(n) < 0.1, np.inf, random.random(n)).astype(np.float32),
            "return_index": random.integers(0, 2, n).astype(np.uint8),
            "row_of_ring": np.array([7, 6, 5, 4, 3, 2, 1], np.int32),
            "compensated_to_ns": T0,
        }
        return sweep_of(xyz, **(columns | more))

    return make


def expected_of(sweep, close, drop_intensity):
    xyz = np.column_stack([sweep.x, sweep.y, sweep.z])
    keep = np.isfinite(xyz).all(axis=1) & ~((np.abs(xyz[:, :2]) < np.float32(close)).all(axis=1))
    if drop_intensity:
        keep &= np.isfinite(sweep.intensity)
    return keep


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("close", "nonfinite"), [(0.0, "zero"), (1.0, "drop")])
@pytest.mark.parametrize("n", [0, 1, 700, 40_000])
def test_every_column_goes_with_its_point(columned, n, close, nonfinite, threads):
    sweep = columned(n)
    frame = memory_log([sweep])[0]
    params = points_params(
        columns=COLUMNS, remove_close=close, nonfinite_features=nonfinite, ground="plane", ground_z=-1.0
    )
    got = InputBuilder(["lidar_points", "lidar_ring"], params=params, threads=threads).build(frame)
    keep = expected_of(sweep, close, nonfinite == "drop")
    elongation = np.where(np.isfinite(sweep.elongation), sweep.elongation, 0)
    ranks = np.append(sweep.row_of_ring, -1)[np.minimum(sweep.ring, 7)]
    wanted = [sweep.x, elongation, sweep.return_index, sweep.offset_ns, sweep.ring, sweep.z.astype(np.float64) + 1]
    np.testing.assert_array_equal(got["lidar_points"], np.column_stack(wanted)[keep].astype(np.float32))
    np.testing.assert_array_equal(got["lidar_ring"], ranks[keep])


def test_what_a_log_lacks_is_zero_or_an_error_that_says_what_there_is(frame_of, build):
    frame = frame_of([[1, 2, 3]], np.float32([0.5]))
    params = points_params(columns=["x", "elongation", "return_index", "offset_ns"])
    assert build(["lidar_points"], frame, params)["lidar_points"].tolist() == [[1, 0, 0, 0]]
    assert build(["lidar_ring"], frame)["lidar_ring"].tolist() == [-1]
    with pytest.raises(MissingRecord) as caught:
        build(["lidar_points"], frame, points_params(columns=["x", "elongation", "ring"], missing_columns="error"))
    assert str(caught.value).endswith(
        "the sweep has no ring and no elongation, which a tensor takes; beside x, y, z there is intensity "
        '(missing_columns "fill" does without)'
    )


@pytest.mark.parametrize("column", ["ring", "row_of_ring"])
def test_a_rank_that_cannot_be_known_is_an_error_where_columns_must_be_there(frame_of, build, column):
    lidar = {"ring": np.uint8([0]), "row_of_ring": np.int32([0])} | {column: None}
    frame = frame_of([[1, 2, 3]], **lidar)
    assert build(["lidar_ring"], frame)["lidar_ring"].tolist() == [-1]
    with pytest.raises(MissingRecord, match=f"the sweep has no .*{column}, which a tensor takes"):
        build(["lidar_ring"], frame, points_params(missing_columns="error"))


def test_a_padded_row_has_no_ring(frame_of, sweep_of):
    frame = frame_of([[1, 2, 3], [4, 5, 6]], ring=np.uint8([0, 1]), row_of_ring=np.int32([1, 0]))
    builder = InputBuilder([{"name": "lidar_ring", "dtype": "int32", "shape": [4]}])
    for _ in range(2):
        assert builder.build(frame)["lidar_ring"].tolist() == [1, 0, -1, -1]
    assert builder.build(frame_of([[1, 2, 3]]))["lidar_ring"].tolist() == [-1] * 4


def test_rings_and_heights_have_the_rows_of_the_points(columned, build):
    frame = memory_log([columned(500)])[0]
    names = ["lidar_points", "lidar_ring", "lidar_height_above_ground"]
    params = points_params(columns=["ring", "z"], range=[-5, -5, -5, 5, 5, 5], max_points=40, ground="plane")
    got = build(names, frame, params)
    assert len(got["lidar_points"]) == 40
    ring, z = got["lidar_points"].T
    np.testing.assert_array_equal(got["lidar_ring"], np.append(np.arange(7, 0, -1), -1)[ring.astype(int)])
    np.testing.assert_array_equal(got["lidar_height_above_ground"], z)


@pytest.mark.parametrize("names", [["lidar_points"], ["lidar_points", "lidar_voxels", "lidar_bev_occupancy"]])
def test_z_is_counted_from_the_ground_before_points_are_put_into_cells(frame_of, names):
    heights = np.array([[1.0, 2.0]])
    hdmap = HDMap(ground=GroundGrid(heights, np.eye(2), np.array([10.0, 0.0]), 0.1))
    xyz = np.float32([[-1, 0, 1.1], [1, 0, 1.1], [1, 0, 2.6]])
    x, y, z = xyz.T
    frame = memory_log([frame_of(xyz).lidar], hdmap=hdmap)[0]
    grid = {"range": [-8, -8, -1, 8, 8, 1], "voxel": [1, 1, 1]}
    params = {
        "lidar_points": {"frame": "ego_ground", "columns": ["x", "y", "z", "height_above_ground"]},
        "lidar_voxels": {"frame": "ego_ground", "grid": grid},
        "lidar_bev_occupancy": {"frame": "ego_ground", "grid": grid},
    }
    got = InputBuilder(names, params={name: params[name] for name in names}).build(frame)
    wanted = np.float32(np.float64(z) - [1, 2, 2])
    np.testing.assert_array_equal(got["lidar_points"], np.column_stack([x, y, wanted, wanted]))
    if "lidar_voxels" in got:
        # 0.1 above the ground, and 0.9 below it
        np.testing.assert_array_equal(got["lidar_voxels"][:, 0, 2], wanted)
        assert got["lidar_bev_occupancy"].sum(axis=(1, 2)).tolist() == [1, 2]


def test_a_log_without_ground_heights_takes_the_plane_and_says_so_once(frame_of, build, caplog):
    builder = InputBuilder(["lidar_points"], params=points_params(frame="ego_ground", ground_z=-0.5))
    for _ in range(2):
        assert builder.build(frame_of([[1, 2, 3]], np.ones(1)))["lidar_points"][0, 2] == 3.5
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "memory: the log has no map; the ground is taken from the plane z = -0.5 m (reported "
        'once; the param ground "map" makes it an error)'
    ]
    with pytest.raises(MissingRecord, match="the log has no map, which ground 'map' needs"):
        build(["lidar_points"], frame_of([[1, 2, 3]]), points_params(frame="ego_ground", ground="map"))


def test_ground_that_the_lidar_does_not_see_near_the_plane_is_reported_once(frame_of, caplog):
    x, y = (at.ravel() for at in np.mgrid[-20:20:80j, -20:20:80j])
    frame = frame_of(np.column_stack([x, y, np.full(x.size, -1.73)]))
    columns = {"columns": ["height_above_ground"], "ground": "lidar"}
    builder = InputBuilder(["lidar_points"], params=points_params(**columns))
    for _ in range(2):
        np.testing.assert_allclose(builder.build(frame)["lidar_points"], -1.73, rtol=1e-6)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said == (
        f"memory: {frame}: near the vehicle only 0 of 100 places have their lowest point within 1.5 m of z = 0 m, so "
        "heights above the ground may be wrong (reported once; the param ground_z is the road's z in the ego frame)"
    )
    caplog.clear()
    builder = InputBuilder(["lidar_points"], params=points_params(**columns, ground_z=-1.7))
    np.testing.assert_allclose(builder.build(frame)["lidar_points"], 0, atol=1e-6)
    assert caplog.records == []


def test_the_datasets_own_ground_is_taken_where_a_spec_says_none(frame_of, caplog):
    frame = frame_of([[1, 2, 0]])
    frame.log.source.ground_z_m = -1.73
    for given, wanted in (({}, 1.73), ({"ground_z": 0.0}, 0.0)):
        builder = InputBuilder(["lidar_points"], params=points_params(frame="ego_ground", columns=["z"], **given))
        np.testing.assert_allclose(builder.build(frame)["lidar_points"], wanted, rtol=1e-6)
    assert ["z = -1.73 m" in caplog.messages[0], "z = 0 m" in caplog.messages[1]] == [True, True]


@pytest.mark.parametrize(
    ("params", "wanted"),
    [
        ({"num_sweeps": 3}, [8, 7, 6]),
        ({"num_sweeps": 3, "sweep_step": 2}, [8, 6, 4]),
        ({"num_sweeps": 3, "sweeps": "keyframes"}, [8, 5, 2]),
        ({"num_sweeps": 2, "sweeps": "keyframes", "sweep_step": 2}, [8, 2]),
        ({"num_sweeps": 9, "sweeps": "keyframes"}, [8, 5, 2]),
        ({"num_sweeps": 9, "sweep_step": 4}, [8, 4, 0]),
    ],
)
def test_a_cloud_has_the_sweeps_that_were_asked_for(sweep_of, build, params, wanted):
    sweeps = [sweep_of([[k, 0, 0]], time_ns=T0 + 50 * MS * k) for k in range(9)]
    log = memory_log(sweeps, times_ns=[T0 + 50 * MS * k for k in (2, 5, 8)])
    points = build(["lidar_points"], log[2], points_params(columns=["x", "time_lag"], **params))["lidar_points"]
    assert points[:, 0].tolist() == wanted
    np.testing.assert_allclose(points[:, 1], [(8 - k) * 0.05 for k in wanted], atol=1e-7)


def test_unrelated_frames_have_one_sweep_whatever_is_asked(sweep_of, build):
    log = memory_log([sweep_of([[k, 0, 0]], time_ns=T0 + k) for k in range(3)], sequential=False)
    for params in ({"num_sweeps": 3, "sweeps": "keyframes"}, {"num_sweeps": 3, "sweep_step": 2}):
        assert build(["lidar_points"], log[2], points_params(**params))["lidar_points"][:, 0].tolist() == [2]


@pytest.mark.parametrize("names", [["lidar_points"], ["lidar_points", "lidar_voxels"], ["lidar_points", "lidar_ring"]])
@pytest.mark.parametrize(("of", "wanted"), [("all", [9, 8, 7]), ("past", [0.5, 9, 8, 7])])
@pytest.mark.parametrize("threads", [1, 2])
def test_close_points_go_from_all_sweeps_or_from_those_before_the_newest(sweep_of, names, of, wanted, threads):
    """OpenPCDet, mmdetection3d and CenterPoint keep them in the newest: a quarter of a nuScenes sweep is the car."""
    sweeps = [sweep_of([[0.5, 0.5, 1], [9 - k, 0, 0]], time_ns=T0 - 50 * MS * k) for k in range(3)]
    cloud = {"num_sweeps": 3, "remove_close": 1.0, "remove_close_of": of}
    params = {name: cloud | ({"columns": ["x"]} if name == "lidar_points" else {}) for name in names}
    params.pop("lidar_ring", None)
    got = InputBuilder(names, params=params, threads=threads).build(memory_log(sweeps[::-1])[2])
    assert got["lidar_points"][:, 0].tolist() == wanted


def test_what_a_lidar_does_not_record_is_reported_once_with_what_it_is_filled_with(frame_of, caplog):
    columns = ["x", "intensity", "ring", "elongation", "return_index", "offset_ns"]
    builder = InputBuilder(["lidar_points", "lidar_ring"], params=points_params(columns=columns))
    frame = frame_of(np.ones((3, 3)), ring=np.zeros(3, np.uint8))
    for _ in range(2):
        assert builder.build(frame)["lidar_points"].tolist() == [[1, 0, 0, 0, 0, 0]] * 3
    assert caplog.messages == [
        "top: the sweep has no intensity and no row_of_ring and no elongation and no return_index and no offset_ns, "
        "which a tensor takes: intensity is 0, lidar_ring is -1, elongation is 0, return_index is 0, offset_ns is 0 "
        '(reported once; the param missing_columns "error" makes it an error)'
    ]


def test_unrelated_frames_have_one_sweep_and_say_so_once_where_several_are_wanted(sweep_of, caplog):
    sweeps = [sweep_of([[k, 0, 0]], np.ones(1), time_ns=T0 + k * MS) for k in range(3)]
    builder = InputBuilder(["lidar_points"], params=points_params(num_sweeps=3))
    for frame in memory_log(sweeps, sequential=False):
        assert len(builder.build(frame)["lidar_points"]) == 1
    assert caplog.messages == [
        "memory: its frames are unrelated, so that each has one sweep of a lidar, and not 3 (reported once)"
    ]


def test_a_lidar_that_the_log_lacks_is_left_out_and_reported_once_unless_it_is_required(sweep_of, caplog):
    frame = memory_log([sweep_of([[1, 0, 0]], np.ones(1))])[0]
    builder = InputBuilder(["lidar_points"], params=points_params(sensors=["roof", "top"]))
    for _ in range(2):
        assert len(builder.build(frame)["lidar_points"]) == 1
    assert caplog.messages == [
        "memory: no lidar 'roof', so no points of it; the log has top (reported once; the param \"required\" makes it "
        "an error)"
    ]
    builder = InputBuilder(["lidar_points"], params=points_params(sensors=["roof", "top"], required=True))
    with pytest.raises(MissingRecord, match="memory: no lidar 'roof'; the log has top, and the spec requires it"):
        builder.build(frame)
