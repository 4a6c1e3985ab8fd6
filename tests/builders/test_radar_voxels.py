"""radar_voxels, radar_voxel_coords and radar_voxel_num_points: the rows of radar_points, voxel by voxel."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from perceptum.builders import InputBuilder
from perceptum.datasets import memory_log
from perceptum.features import canonical

from .radars import MS, T0, curve, cycle

NAMES = ["radar_voxels", "radar_voxel_coords", "radar_voxel_num_points"]
GRID = {"range": [-40, -30, -3, 40, 30, 3], "voxel": [4, 3, 3]}
COLUMNS = ["x", "y", "z", "rcs", "vx_comp", "dyn_prop_onehot", "time_lag"]


def drive(n=300):
    radars = [cycle(n, T0 - 9 * MS - k * 60 * MS, seed=k) for k in range(6)]
    radars += [cycle(n // 2, T0 - 20 * MS - k * 70 * MS, "back", seed=50 + k) for k in range(6)]
    return memory_log(radars=radars, times_ns=[T0], poses=curve(T0 - np.arange(40, -5, -1) * 20 * MS))


def build(frame, params, names=NAMES):
    return InputBuilder(names, params={"radar_voxels": params}).build(frame)


def expected(frame, params):
    """Rows, coords (z y x) and counts, from the rows of radar_points."""
    params = {"columns": COLUMNS, "max_points_per_voxel": 20, "max_voxels": 60_000, **params}
    own = canonical().group("radar_points").params.__struct_fields__
    shared = {k: v for k, v in params.items() if k in own}
    # the first ones of all, whether they are in the grid or not
    points = {"radar_points": {**shared, "max_points": params.get("max_points")}}
    rows = InputBuilder(["radar_points"], params=points).build(frame)["radar_points"]
    low, voxel = (np.array(part, np.float32) for part in (GRID["range"][:3], GRID["voxel"]))
    size = [20, 20, 2]
    found: dict[tuple[int, ...], list[np.ndarray]] = {}
    for row in rows:
        cell = np.floor((row[:3] - low) / voxel).astype(int)
        if (cell >= 0).all() and (cell < size).all():
            key = tuple(cell[::-1].tolist())
            if key in found or len(found) < params["max_voxels"]:
                found.setdefault(key, []).append(row)
    most = params["max_points_per_voxel"]
    voxels = np.zeros((len(found), most, rows.shape[1]), np.float32)
    for out, own_rows in zip(voxels, found.values(), strict=True):
        out[: min(len(own_rows), most)] = own_rows[:most]
    return voxels, np.array(list(found)), np.array([min(len(own_rows), most) for own_rows in found.values()])


@pytest.mark.parametrize(
    "params",
    [
        {"filter": "none"},
        {"filter": "none", "max_points_per_voxel": 2, "max_voxels": 40},
        {"columns": ["x", "y", "z", "rcs", "vx_comp"], "num_sweeps": 2, "advance_by_velocity": True},
        {"columns": ["x", "y", "z", "time_lag"], "filter": "crn"},
        {"filter": "none", "max_points": 500},
        {"filter": "none", "max_points": 100_000},
        {"filter": "none", "max_points": 120, "sensors": ["back"], "frame": "radar"},
    ],
    ids=str,
)
def test_voxels_hold_the_rows_of_radar_points(params):
    frame = drive()[0]
    found = build(frame, {"grid": GRID, "columns": COLUMNS, **params})
    voxels, coords, counts = expected(frame, params)
    assert (found["radar_voxels"] == voxels).all()
    assert (found["radar_voxel_coords"] == coords).all()
    assert (found["radar_voxel_num_points"] == counts).all()
    assert counts.sum() > 20
    over = sum(map(len, frame.radar_sweeps(6))) - params.get("max_points", 10**6)
    if params.get("filter") == "none" and "sensors" not in params and over > 0:
        assert found.dropped["detections over max_points"] == over


def test_bevfusion_has_its_own_order_of_coords_and_caps_by_training():
    frame = drive()[0]
    preset = canonical().presets("radar_voxels")["bevfusion_radar"]
    assert preset.values(training=True)["max_voxels"] == 30_000
    assert preset.params["max_points"] == canonical().presets("radar_points")["bevfusion_radar"].params["max_points"]
    assert preset.params["max_points"] == 2500
    # ego: these radars have no lidar beside them
    own = {"preset": "bevfusion_radar", "frame": "ego"}
    found = build(frame, own)
    assert found["radar_voxels"].shape[1:] == (20, 45)
    other = build(frame, {**own, "coord_order": "zyx"})
    assert (found["radar_voxel_coords"] == other["radar_voxel_coords"][:, ::-1]).all()
    assert (found["radar_voxel_coords"][:, 2] == 0).all()
    # every detection lies in the cell that its voxel says
    first = found["radar_voxels"][:, 0, :2]
    cells = np.floor((first - np.float32(-51.2)) / np.float32(0.8)).astype(int)
    assert (cells == found["radar_voxel_coords"][:, :2]).all()


def test_view_of_delft_takes_seven_columns():
    gone = dict.fromkeys(("vx", "vy", "vx_comp", "vy_comp"))
    log = memory_log(radars=[cycle(80, scan=np.arange(80) % 3 - 2, **gone)], times_ns=[T0])
    found = build(log[0], "pp_radar_vod")
    assert found["radar_voxels"].shape[1:] == (10, 7)
    assert set(np.unique(found["radar_voxels"][:, 0, 6])) == {-2, -1, 0}


def test_no_detection_gives_no_voxel_or_as_many_as_are_asked_for():
    log = memory_log(radars=[cycle(0)], times_ns=[T0])
    assert build(log[0], {})["radar_voxels"].shape == (0, 20, 7)
    found = build(log[0], {"min_rows": 1})
    assert found["radar_voxel_num_points"].tolist() == [0]
    assert not found["radar_voxels"].any()


def test_rows_of_unequal_max_points_have_symbols_of_their_own():
    keys = [
        canonical().group("radar_voxels").params.replace({"max_points": most}, "").size_key("num_radar_voxels")
        for most in (None, 20, 20)
    ]
    assert keys[0] != keys[1] == keys[2]
    # another limit, or none, leaves the other's voxels as they are
    frame, few = drive()[0], {"grid": GRID, "filter": "none", "max_points": 100}
    names = ["radar_voxel_num_points", "radar_voxel_num_points__few"]
    whole = {"grid": GRID, "filter": "none"}
    rows = [
        {"name": name, "dtype": "int32", "shape": [name], "params": params}
        for name, params in zip(names, (whole, few), strict=True)
    ]
    found = InputBuilder(rows).build(frame)
    for name, params in zip(names, (whole, few), strict=True):
        assert (found[name] == build(frame, params, names[:1])[names[0]]).all()
    assert found[names[1]].sum() <= 100 < found[names[0]].sum()


def test_what_max_voxels_drops_is_counted_and_said_once(caplog):
    frame = drive()[0]
    builder = InputBuilder(NAMES, params={"radar_voxels": {"grid": GRID, "filter": "none", "max_voxels": 5}})
    with caplog.at_level(logging.WARNING):
        found = builder.build(frame)
        builder.build(frame)
    assert len(found["radar_voxels"]) == 5
    assert found.dropped["points over max_voxels"] > 0
    assert len([r for r in caplog.records if r.getMessage().startswith("radar_voxels: ")]) == 1
