"""nuScenes' radar cycles: all fields, explicit filters, and broken files."""

import contextlib
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.datasets import open_log
from perceptum.datasets.nuscenes.radar import FILTERS, RADAR_COLUMNS, read_radar_columns
from perceptum.inputs import BrokenRecord, LogError, MissingRecord

from .made_nuscenes import RADAR_FIELDS, RADAR_PACKING, radar_pcd, radar_points

ROWS = radar_points(np.random.default_rng(1), 400)
DTYPES = {"F": {4: np.float32}, "I": {1: np.int8, 2: np.int16}}


@pytest.fixture
def cycle(tmp_path):
    return tmp_path / "cycle.pcd"


def said(path, radar_filter="none"):
    with pytest.raises(BrokenRecord) as caught:
        read_radar_columns(path, radar_filter)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_point_is_43_bytes_of_18_fields():
    assert struct.calcsize(RADAR_PACKING) == sum(size for _, size, _ in RADAR_FIELDS) == 43
    assert [name for name, *_ in RADAR_FIELDS] == list(RADAR_COLUMNS)


def test_every_field_is_a_column_in_its_own_dtype(cycle):
    cycle.write_bytes(radar_pcd(ROWS))
    columns = read_radar_columns(cycle)
    for i, (name, size, kind) in enumerate(RADAR_FIELDS):
        dtype = DTYPES[kind][size]
        assert columns[name].dtype == dtype
        assert columns[name].flags.c_contiguous
        assert columns[name].tobytes() == np.array([row[i] for row in ROWS], dtype).tobytes()


def test_radars_are_read_as_recorded_unless_a_filter_is_asked_for(nuscenes):
    sizes = {name: len(open_log(nuscenes, radar_filter=name)[0].radars["RADAR_FRONT"]) for name in FILTERS}
    # of 30 points: i % 5 == 3, and i % 18 among the states that are kept
    assert sizes == {"none": 30, "devkit": 1, "crn": 3}
    assert len(open_log(nuscenes)[0].radars["RADAR_BACK_LEFT"].vx_rms) == 30


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_keeps_exactly_its_states(cycle, name):
    cycle.write_bytes(radar_pcd(ROWS))
    columns = read_radar_columns(cycle, name)
    at = {field: i for i, (field, *_) in enumerate(RADAR_FIELDS)}
    kept = [row for row in ROWS if all(row[at[field]] in states for field, states in FILTERS[name].items())]
    assert columns["id"].tolist() == [row[at["id"]] for row in kept]
    assert 0 < len(kept) <= len(ROWS)


@pytest.mark.parametrize("field", [0, 5, 9])
def test_a_nan_in_the_first_point_says_that_there_is_none(cycle, field):
    nothing = list(ROWS[0])
    nothing[field] = float("nan")
    cycle.write_bytes(radar_pcd([tuple(nothing)]))
    columns = read_radar_columns(cycle)
    assert {len(column) for column in columns.values()} == {0}
    assert set(columns) == set(RADAR_COLUMNS)


@pytest.mark.parametrize("name", FILTERS)
def test_columns_cannot_be_written_to_and_share_no_memory_with_the_file(cycle, name):
    cycle.write_bytes(radar_pcd(ROWS))
    columns = read_radar_columns(cycle, name)
    assert not any(column.flags.writeable for column in columns.values())
    assert all(column.flags.aligned and column.flags.owndata for column in columns.values())


def test_a_nan_behind_the_first_point_is_kept(cycle):
    rows = [ROWS[0], (float("nan"), *ROWS[1][1:]), ROWS[2]]
    cycle.write_bytes(radar_pcd(rows))
    assert np.isnan(read_radar_columns(cycle)["x"]).tolist() == [False, True, False]


def test_each_file_has_the_points_that_its_own_header_says(cycle):
    """Headers are taken apart once each: one that was seen before, and one like it, must not be mixed up."""
    for count in (400, 3, 0, 400, 125, 3):
        cycle.write_bytes(radar_pcd(ROWS[:count]))
        assert len(read_radar_columns(cycle)["x"]) == count
    fields = [name for name, *_ in RADAR_FIELDS]
    cycle.write_bytes(radar_pcd(ROWS[:3], FIELDS=" ".join(["y", "x", *fields[2:]])))
    columns = read_radar_columns(cycle)
    assert columns["y"].tolist() == np.array([row[0] for row in ROWS[:3]], np.float32).tolist()


def test_velocities_are_vectors_towards_the_sensor_of_what_approaches(tmp_path):
    """By the definition: the car drives at 10 m/s along x, a pole stands, a van recedes at 4 m/s over ground."""
    rows = []
    for azimuth, over_ground in ((0.4, 0.0), (-0.2, 4.0)):
        ray = np.array([np.cos(azimuth), np.sin(azimuth)])
        relative = over_ground - 10 * ray[0]
        rows.append((*(20 * ray), 0.0, 1, 7, 5.5, *(relative * ray), *(over_ground * ray), 1, 3, 0, 0, 0, 1, 0, 0))
    path = tmp_path / "cycle.pcd"
    path.write_bytes(radar_pcd(rows, b"\n"))
    columns = read_radar_columns(path)
    along = (columns["x"] * columns["vx"] + columns["y"] * columns["vy"]) / np.hypot(columns["x"], columns["y"])
    np.testing.assert_allclose(along, [-10 * np.cos(0.4), 4 - 10 * np.cos(0.2)], rtol=1e-6)
    assert columns["vx_comp"][0] == columns["vy_comp"][0] == 0
    assert columns["vx_comp"][1] > 0 > columns["vy_comp"][1]
    assert columns["rcs"].tolist() == [5.5, 5.5]


@pytest.mark.parametrize("tail", [b"", b"\n", b"more"])
def test_what_stands_behind_the_last_point_is_passed_over(cycle, tail):
    cycle.write_bytes(radar_pcd(ROWS, tail))
    assert len(read_radar_columns(cycle)["x"]) == 400


def test_no_points_at_all_are_an_empty_cycle(cycle):
    cycle.write_bytes(radar_pcd([]))
    assert [len(column) for column in read_radar_columns(cycle).values()] == [0] * 18


def test_a_file_cut_short_is_named(cycle):
    cycle.write_bytes(radar_pcd(ROWS)[:-100])
    assert said(cycle) == (f"{cycle}: 17101 bytes of points, wanted 17200 for 400 of 43 bytes; the file is cut short")


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ({"DATA": "ascii"}, "DATA is ascii, wanted binary"),
        ({"DATA": "binary_compressed"}, "DATA is binary_compressed, wanted binary"),
        ({"WIDTH": "-1"}, "WIDTH is -1, wanted a number of points"),
        ({"WIDTH": "4 4"}, "WIDTH is 4 4, wanted a number of points"),
        # a header that promises petabytes is refused before any is allocated
        ({"WIDTH": 999_999_999, "HEIGHT": 999_999_999}, "17201 bytes of points, wanted 42999999914"),
        ({"WIDTH": "9" * 5000}, "starts with b'# .PCD v0.7 ', wanted the header of a .pcd file up to its DATA line"),
        ({"SIZE": "4 4"}, "18 FIELDS, 2 SIZE, 18 TYPE, 18 COUNT; wanted as many of each, 3 to 64"),
        ({"TYPE": "Q " * 18}, "field x is of TYPE Q SIZE 4 COUNT 1, unknown"),
        ({"COUNT": "2 " * 18}, "field x is listed more than once, wanted one value a point"),
        ({"FIELDS": "x " * 18}, "field x is listed more than once, wanted one value a point"),
        ({"SIZE": "4 4 4 4 " + "1 " * 14, "TYPE": "F F F F " + "I " * 14}, "field rcs is int8, wanted TYPE F"),
        ({"TYPE": "F F F I I I " + "F F F F " + "I " * 8}, "field rcs is int32, wanted TYPE F"),
        ({"SIZE": "4 " * 18, "TYPE": "F " * 18}, "field dyn_prop is float32, wanted TYPE I or U"),
        ({"TYPE": "I " * 18}, "no float field x, y, z; it has x, y, z, "),
        ({"FIELDS": "a b c " * 6}, "no float field x, y, z; it has none we know"),
    ],
)
def test_a_broken_header_is_named(cycle, header, wanted):
    cycle.write_bytes(radar_pcd(ROWS, **header))
    assert said(cycle).startswith(f"{cycle}: {wanted}")


def test_a_filter_needs_its_fields(cycle):
    names = " ".join(name if name != "ambig_state" else "other" for name, *_ in RADAR_FIELDS)
    cycle.write_bytes(radar_pcd(ROWS, FIELDS=names))
    assert "ambig_state" not in read_radar_columns(cycle)
    assert said(cycle, "crn") == f"{cycle}: no field ambig_state, which radar_filter='crn' needs"


def test_a_missing_cycle_is_named_and_a_broken_one_can_be_skipped(nuscenes):
    log = open_log(nuscenes, on_error="skip")
    path = nuscenes / "samples" / "RADAR_FRONT" / log[1].radars["RADAR_FRONT"].source.rpartition("/")[2]
    path.write_bytes(b"\0" * 40)
    assert [cycle.sensor for cycle in open_log(nuscenes, on_error="skip")[1].radar_sweeps(1)] == ["RADAR_BACK_LEFT"]
    path.unlink()
    with pytest.raises(MissingRecord, match="no such file; the radar cycle is missing"):
        open_log(nuscenes)[1].radars["RADAR_FRONT"]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_changed_bytes_are_read_or_refused(tmp_path_factory, data):
    encoded = bytearray(radar_pcd(ROWS[:3]))
    for _ in range(data.draw(st.integers(1, 4))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "changed.pcd"
    path.write_bytes(bytes(encoded[: data.draw(st.integers(0, len(encoded)))]))
    with contextlib.suppress(LogError):
        columns = read_radar_columns(path, data.draw(st.sampled_from(sorted(FILTERS))))
        assert len({len(column) for column in columns.values()}) == 1
