"""radar_bev, against plain numpy from its definition."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from perceptum.builders import InputBuilder
from perceptum.datasets import memory_log
from perceptum.features import canonical

from .radars import MS, T0, curve, cycle

GRID = {"range": [-40, -30, -3, 40, 30, 3], "voxel": [2, 1.5, 3]}
X, Y = 40, 40


def build(frame, params, **options):
    return InputBuilder(["radar_bev"], params={"radar_bev": params}, **options).build(frame)["radar_bev"]


def drive(cycles=4, n=300):
    radars = [cycle(n, T0 - 9 * MS - k * 60 * MS, seed=k) for k in range(cycles)]
    radars += [cycle(n // 2, T0 - 20 * MS - k * 70 * MS, "back", seed=50 + k) for k in range(cycles)]
    return memory_log(radars=radars, times_ns=[T0], poses=curve(T0 - np.arange(40, -5, -1) * 20 * MS))


def expected(frame, params, velocity=("vx_comp", "vy_comp")):
    """(T + 3, Y, X) float32 from the rows of radar_points."""
    sweeps = params["num_sweeps"]
    columns = {"columns": ["x", "y", "z", "sweep", "rcs", *velocity], "max_points": None}
    shared = {k: v for k, v in params.items() if k in canonical().group("radar_points").params.__struct_fields__}
    rows = InputBuilder(["radar_points"], params={"radar_points": {**shared, **columns}}).build(frame)["radar_points"]
    out = np.zeros((sweeps + 3, Y, X), np.float32)
    best = {}
    for x, y, z, sweep, rcs, vx, vy in rows:
        low, voxel = np.array(GRID["range"][:3], np.float32), np.array(GRID["voxel"], np.float32)
        ix, iy, iz = np.floor((np.array([x, y, z], np.float32) - low) / voxel).astype(int)
        if not (0 <= ix < X and 0 <= iy < Y and 0 <= iz < 2):
            continue
        out[int(sweep), iy, ix] = 1
        key = (-float(rcs), float(x) ** 2 + float(y) ** 2)
        if (iy, ix) not in best or key < best[iy, ix]:
            best[iy, ix] = key
            out[sweeps:, iy, ix] = rcs, vx, vy
    return out


@pytest.mark.parametrize(
    "params",
    [
        {"num_sweeps": 4, "filter": "none"},
        {"num_sweeps": 2, "filter": "devkit", "advance_by_velocity": True},
        {"num_sweeps": 6, "filter": "none", "velocity": "relative"},
    ],
    ids=str,
)
def test_cells_are_as_the_definition_says(params):
    frame = drive()[0]
    params = {"grid": GRID, **params}
    velocity = ("vx", "vy") if params.get("velocity") == "relative" else ("vx_comp", "vy_comp")
    found, wanted = build(frame, params), expected(frame, params, velocity)
    assert (found == wanted).all()
    assert found[: params["num_sweeps"]].any()


def test_layouts_flips_and_the_order_of_time_are_the_same_numbers():
    frame, params = drive()[0], {"grid": GRID, "filter": "none", "num_sweeps": 4}
    plain = build(frame, params)
    assert (build(frame, {**params, "bev_layout": "CXY"}) == plain.transpose(0, 2, 1)).all()
    assert (build(frame, {**params, "bev_layout": "YXC", "flip_y": True}) == plain[:, ::-1].transpose(1, 2, 0)).all()
    assert (build(frame, {**params, "flip_x": True}) == plain[:, :, ::-1]).all()
    reversed_time = np.concatenate([plain[:4][::-1], plain[4:]])
    assert (build(frame, {**params, "oldest_first": True}) == reversed_time).all()


def test_of_equally_strong_ones_the_nearest_is_shown_and_then_the_first():
    x = np.array([3.9, 3.1, 3.1, 3.5], np.float32)
    own = {"x": x, "y": np.full(4, 0.2, np.float32), "z": np.zeros(4, np.float32), "ego_from_sensor": np.eye(4)}
    own |= {"rcs": np.array([7, 7, 7, 2], np.float32), "vx_comp": np.arange(1, 5, dtype=np.float32)}
    log = memory_log(radars=[cycle(4, **own)], times_ns=[T0])
    found = build(log[0], {"grid": GRID, "filter": "none", "num_sweeps": 1, "velocity_axes": "sensor"})
    at = (20, 21)
    assert found[:3, at[0], at[1]].tolist() == [1, 7, 2]
    assert (found != 0).sum() <= 4


def test_a_cell_whose_rcs_is_zero_or_less_is_occupied():
    log = memory_log(radars=[cycle(40, rcs=np.full(40, -3, np.float32))], times_ns=[T0])
    found = build(log[0], {"grid": GRID, "filter": "none", "num_sweeps": 1})
    assert (found[1][found[0] == 1] == -3).all()


def test_memory_of_a_fuller_frame_is_cleared():
    log = memory_log(
        radars=[cycle(400, T0), cycle(3, T0 + 500 * MS, seed=1), cycle(0, T0 + 1000 * MS)],
        times_ns=[T0, T0 + 500 * MS, T0 + 1000 * MS],
    )
    params = {"grid": GRID, "filter": "none", "num_sweeps": 1}
    builder = InputBuilder(["radar_bev"], params={"radar_bev": params})
    for index in (0, 1, 2, 1, 0):
        assert (builder.build(log[index])["radar_bev"] == build(log[index], params)).all()
    assert not build(log[2], params).any()


def test_radarnet_is_built():
    assert build(drive()[0], "radarnet").shape == (9, 400, 400)


def test_views_of_equal_params_are_written_one_after_the_other(monkeypatch):
    """They have one filler, and with threads one table: detections were missing from either."""
    from perceptum.builders.radar import bev

    held, most, show = threading.Semaphore(0), [], bev.show

    def watched(*given):
        held.release()
        time.sleep(0.05)
        most.append(held._value)
        found = show(*given)
        held.acquire()
        return found

    monkeypatch.setattr(bev, "show", watched)
    frame, params = drive()[0], {"grid": GRID, "filter": "none"}
    row = {"name": "radar_bev", "dtype": "float32", "shape": ["c", "y", "x"], "params": params}
    builder = InputBuilder({"a": [row], "b": [row], "c": [row]}, threads=3)
    alone = InputBuilder([row]).build(frame)["radar_bev"].tobytes()
    most.clear()
    assert {tensors["radar_bev"].tobytes() for tensors in builder.build(frame).values()} == {alone}
    assert most == [1, 1, 1]
