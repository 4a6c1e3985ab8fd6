"""Argoverse 2 motion forecasting: tracks of a scenario as labels around the recording car, and its map."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perceptum.datasets import open_log
from perceptum.datasets.argoverse2.forecasting import NOMINAL_SIZES
from perceptum.inputs import BrokenRecord, LogError, MissingRecord, PoseUnknown

from . import made_argoverse2_forecasting as made
from .made_argoverse2_forecasting import START_NS, rows, table


@pytest.fixture
def make(tmp_path):
    """make(columns) -> the folder of a scenario with these columns."""
    return lambda columns: made.make(tmp_path / "s-1", columns)


def test_a_scenario_is_frames_at_ten_hertz_without_sensors(make):
    log = open_log(make(table(rows())))
    assert [frame.id for frame in log] == [str(step) for step in range(len(log))]
    assert (log.source.dataset, log.source.name, len(log)) == ("argoverse2_forecasting", "s-1", 6)
    assert log.source.times_ns.dtype == np.int64
    assert np.diff(log.source.times_ns).tolist() == [100_000_000] * 5
    # the file holds the start as float64, which has a step of 64 ns there
    assert log.source.times_ns[0] == int(float(START_NS))
    frame = log[1]
    assert (frame.lidar, frame.sweeps(2), dict(frame.radars), dict(frame.cameras)) == (None, [], {}, {})
    assert dict(log.reads) == {}


def test_the_ego_is_the_recording_car(make):
    log = open_log(make(table(rows())))
    pose = log[2].world_from_ego
    np.testing.assert_allclose(pose[:3, 3], [100, 52, 0], atol=1e-12)
    np.testing.assert_allclose(pose[:3, :3], [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-12)
    between = log.world_from_ego(log[2].time_ns + 50_000_000)
    np.testing.assert_allclose(between[:3, 3], [100, 52.5, 0], atol=1e-6)


def test_agents_are_labels_in_the_ego_frame_and_the_ego_is_none_of_them(make):
    log = open_log(make(table(rows())))
    labels = log[1].labels
    assert (labels.track_id.tolist(), labels.category.tolist()) == (["7", "8"], ["bus", "static"])
    # 20 m ahead, half a metre to the right; and 10 m to the left
    np.testing.assert_allclose(labels.boxes[0], [20, -0.5, 0, 0, 0, 0, -np.pi / 2], atol=1e-9)
    np.testing.assert_allclose(labels.boxes[1], [0, 10, 0, 0, 0, 0, np.pi / 2], atol=1e-9)
    np.testing.assert_allclose(labels.velocity, [[0, -5], [0, 0]], atol=1e-9)
    assert labels.forecast_role.tolist() == [3, 0]
    assert labels.num_points is None
    assert len(log[3].labels) == 0
    assert log.labels(log[1].time_ns + 1) is None


def test_sizes_are_not_in_the_dataset_and_nominal_only_when_asked_for(make):
    folder = make(table(rows()))
    assert (open_log(folder)[1].labels.boxes[:, 3:6] == 0).all()
    boxes = open_log(folder, nominal_sizes=True)[1].labels.boxes
    assert boxes[0, 3:6].tolist() == list(NOMINAL_SIZES["bus"])
    assert boxes[0, 2] == NOMINAL_SIZES["bus"][2] / 2
    assert boxes[1, 3:6].tolist() == [0, 0, 0]


def test_the_map_has_the_given_centreline(make):
    hdmap = open_log(make(table(rows()))).map
    assert hdmap.lanes.centerlines[0].tolist() == [[0, 0, 0], [5, 0, 0], [10, 0, 0]]
    assert {name: len(shapes) for name, shapes in hdmap.layers.items()} == {
        "drivable_area": 1,
        "crossing": 1,
        "lane": 1,
        "intersection": 0,
        "lane_divider": 1,
    }
    assert hdmap.ground is None


def test_the_test_split_ends_where_its_tracks_end(make):
    log = open_log(make(table(rows(), num_timestamps=[110] * len(rows()))))
    assert len(log) == 6


def test_an_unknown_sensor_is_told(make):
    log = open_log(make(table(rows())))
    with pytest.raises(MissingRecord, match="no sensor 'L'; the log has none"):
        log[0].sweeps(1, "L")
    with pytest.raises(PoseUnknown):
        log.world_from_ego(0)


def changed(name, value, row=0):
    values = table(rows())[name]
    return {name: [*values[:row], value, *values[row + 1 :]]}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"heading": None}, "no column heading; it has observed, track_id"),
        (changed("timestep", 6, 2), "timesteps 0 to 6 of 6, wanted 0 to one less"),
        (changed("timestep", -1), "timesteps -1 to 5 of 6, wanted 0 to one less"),
        (changed("scenario_id", "s-2"), "column scenario_id holds 2 values, wanted the same in each row"),
        (changed("track_id", "AV", 2), "track AV has two rows at timestep 1, wanted one"),
        (changed("track_id", None), "column track_id has 1 nulls, wanted a value in each row"),
        (changed("track_id", "x" * 300), "column track_id holds a text of more than 256 characters"),
        ({"observed": [1] * len(rows())}, "column observed is int64, wanted one of kind b"),
        ({"start_timestamp": [1e19] * len(rows())}, "start_timestamp in row 0 is 1e+19, wanted a finite number"),
        ({"num_timestamps": [10**9] * len(rows())}, "timesteps 0 to 5 of 1000000000, wanted 0 to one less"),
    ],
)
def test_what_is_wrong_with_the_tracks_is_told(make, change, says):
    folder = make(table(rows(), **change))
    with pytest.raises(LogError) as caught:
        open_log(folder)
    assert str(caught.value).startswith(f"{folder}/scenario_s-1.parquet: {says}")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, 1e300])
@pytest.mark.parametrize("name", ["position_x", "heading", "velocity_y"])
def test_a_broken_step_of_the_recording_car_is_a_gap_and_of_another_spoils_its_own_labels(make, name, value):
    folder = make(table(rows(), **changed(name, value, 1)))
    path, shown = folder / "scenario_s-1.parquet", float("nan") if value is None else value
    log = open_log(folder)
    why = f"{path}: {name} in row 1 is {shown}, wanted a finite number"
    assert rows()[1][:4] == ("AV", "vehicle", 1, 1)
    with pytest.raises(PoseUnknown, match="no pose at ") as caught:
        _ = log[1].world_from_ego
    assert str(caught.value).endswith(f" ns: {why}")
    assert log[2].world_from_ego[1, 3] == 52
    assert log.skipped == [f"poses: {why}"]
    # row 2 is the bus, in the same step
    log = open_log(make_again(folder, table(rows(), **changed(name, value, 2))))
    with pytest.raises(BrokenRecord) as caught:
        _ = log[1].labels
    assert str(caught.value) == why.replace("row 1", "row 2")
    assert log[1].world_from_ego[1, 3] == 51
    assert log[2].labels.track_id.tolist() == ["7"]


def make_again(folder, columns):
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table(columns), folder / "scenario_s-1.parquet")
    return folder


def test_a_scenario_without_the_recording_car_has_no_poses(make):
    log = open_log(make(table([row for row in rows() if row[0] != "AV"])))
    with pytest.raises(MissingRecord, match="no track AV, which is the ego; the log has no poses"):
        _ = log[1].labels


@pytest.mark.parametrize("cut", [0, 4, 100, -1])
def test_a_file_that_is_cut_short_is_told(make, cut):
    folder = make(table(rows()))
    path = folder / "scenario_s-1.parquet"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(BrokenRecord, match=r"scenario_s-1\.parquet: not a complete Parquet file"):
        open_log(folder)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), min_size=1, max_size=4))
def test_whatever_is_broken_in_the_tracks_is_told(original, changes):
    folder, encoded = original
    broken = bytearray(encoded)
    for at, value in changes:
        broken[at % len(broken)] = value
    (folder / "scenario_s-1.parquet").write_bytes(bytes(broken))
    # anything but a LogError fails the test
    with suppress(LogError):
        _ = [frame.labels for frame in open_log(folder)]


@pytest.fixture
def original(make):
    folder = make(table(rows()))
    return folder, (folder / "scenario_s-1.parquet").read_bytes()


@pytest.mark.data
def test_the_real_scenario_is_what_is_published(real_data):
    log = open_log(next((real_data / "argoverse2" / "forecasting_scenarios").iterdir()))
    tracks = log.source.tracks
    assert (len(log), len(tracks.step)) == (110, 2434)
    assert (len(log.map.lanes), len(log.map.layers["drivable_area"]), len(log.map.layers["crossing"])) == (71, 2, 6)
    assert len(np.unique(tracks.track_id)) == 58
    assert sum(len(frame.labels) for frame in log) == 2434 - 110
    # what is placed around the car and put back lies where the file says
    frame = log[60]
    city = frame.labels.boxes[:, :2] @ frame.world_from_ego[:2, :2].T + frame.world_from_ego[:2, 3]
    at = tracks.at(60)
    at = at[tracks.track_id[at] != "AV"]
    np.testing.assert_allclose(city, tracks.position[at], atol=1e-9)
    assert (np.abs(frame.labels.boxes[:, 6]) <= np.pi).all()
    # the track of the focal agent moves as its velocity says
    focal = tracks.track_id == tracks.focal_track_id
    moved = np.diff(tracks.position[focal], axis=0) / 0.1
    # not at its start: there the published velocity is twice what the positions say
    assert np.median(np.abs(moved - tracks.velocity[focal][1:])) < 0.2
