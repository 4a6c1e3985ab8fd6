"""Tensors of agents from datasets, against what their tables say, worked out row by row."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from perceptum.builders import InputBuilder
from perceptum.datasets import open_log

HISTORY = ["agent_history", "agent_mask", "agent_type", "agent_num", "agent_label_index"]
FUTURE = ["gt_trajectory", "gt_trajectory_mask"]
TYPES = [
    *("vehicle", "pedestrian", "motorcyclist", "cyclist", "bus"),
    *("static", "background", "construction", "riderless_bicycle", "unknown"),
]


@pytest.fixture(scope="module")
def scenario(real_data):
    return next((real_data / "argoverse2" / "forecasting_scenarios").iterdir())


@pytest.fixture(scope="module")
def tracks(scenario):
    """Track -> its type and {step: (x, y, yaw, vx, vy)} in the axes of the AV at step 49, which is what is predicted
    from."""
    from pyarrow import parquet

    rows = parquet.read_table(next(scenario.glob("scenario_*.parquet"))).to_pylist()
    ego = next(row for row in rows if row["track_id"] == "AV" and row["timestep"] == 49)
    c, s = np.cos(ego["heading"]), np.sin(ego["heading"])
    found = defaultdict(lambda: ["", {}])
    for row in rows:
        dx, dy = row["position_x"] - ego["position_x"], row["position_y"] - ego["position_y"]
        vx, vy = row["velocity_x"], row["velocity_y"]
        turned = np.remainder(row["heading"] - ego["heading"] + np.pi, 2 * np.pi) - np.pi
        state = c * dx + s * dy, c * dy - s * dx, turned, c * vx + s * vy, c * vy - s * vx
        found[row["track_id"]][0] = row["object_type"]
        found[row["track_id"]][1][row["timestep"]] = state
    return dict(found)


def in_order(tracks, steps):
    """The agents that are seen at one of the steps, by where they were last; the AV first."""
    last = {name: max((s for s in own if s in steps), default=None) for name, (_, own) in tracks.items()}
    seen = [name for name in tracks if name != "AV" and last[name] is not None]
    return ["AV", *sorted(seen, key=lambda name: (np.hypot(*tracks[name][1][last[name]][:2]), name))]


@pytest.mark.data
def test_a_scenario_of_argoverse_2_is_what_its_table_says(scenario, tracks) -> None:
    """QCNet's preset: every agent that is seen in the 50 steps, and the 60 steps to come."""
    builder = InputBuilder(
        [*HISTORY, *FUTURE], params={"agent_history": "qcnet", "gt_trajectory": "qcnet"}, training=True
    )
    got = builder.build(open_log(scenario)[49])
    order = in_order(tracks, range(50))
    assert got["agent_num"].tolist() == [len(order)]
    for row, name in enumerate(order):
        kind, own = tracks[name]
        assert got["agent_type"][row] == (10 if name == "AV" else TYPES.index(kind))
        for step in range(110):
            values, mask = ("agent_history", "agent_mask") if step < 50 else ("gt_trajectory", "gt_trajectory_mask")
            at = step if step < 50 else step - 50
            assert got[mask][row, at] == (step in own), (name, step)
            if step not in own:
                assert not got[values][row, at].any()
                continue
            x, y, yaw, vx, vy = own[step]
            found = got[values][row, at]
            # the sizes are not in the dataset, and a box stands on the ground
            assert np.abs(found[:3] - [x, y, 0]).max() < 1e-4
            assert abs(np.remainder(found[3] - yaw + np.pi, 2 * np.pi) - np.pi) < 1e-5
            if step < 50 and name != "AV":
                assert np.abs(found[4:] - [vx, vy]).max() < 1e-4


@pytest.mark.data
def test_lanegcns_displacements_are_its_own_rule(scenario, tracks) -> None:
    """LaneGCN: agents seen now, of their steps those since the last gap; places less those of the step before."""
    got = InputBuilder(HISTORY, params={"agent_history": "lanegcn"}).build(open_log(scenario)[49])
    now = {name: own for name, own in tracks.items() if 49 in own[1]}
    order = [name for name in in_order(now, [49]) if max(map(abs, now[name][1][49][:2])) < 100]
    assert got["agent_num"].tolist() == [len(order)]
    for row, name in enumerate(order):
        own = now[name][1]
        first = 49
        while first - 1 in own and first > 30:
            first -= 1
        feats = np.zeros((20, 3))
        for step in range(first, 50):
            feats[step - 30] = [*own[step][:2], 1]
        feats[1:, :2] -= feats[:-1, :2].copy()
        feats[first - 30, :2] = 0
        feats[feats[:, 2] == 0] = 0
        assert np.abs(got["agent_history"][row] - feats).max() < 1e-4, name


@pytest.mark.data
def test_hivts_targets_are_places_from_now(scenario, tracks) -> None:
    builder = InputBuilder(
        [*HISTORY, *FUTURE], params={"agent_history": "hivt", "gt_trajectory": "hivt"}, training=True
    )
    got = builder.build(open_log(scenario)[49])
    order = in_order(tracks, range(30, 50))[:128]
    assert any(49 not in tracks[name][1] for name in order)
    for row, name in enumerate(order):
        own = tracks[name][1]
        last = max(step for step in own if 30 <= step < 50)
        for step in range(50, 80):
            wanted = np.subtract(own[step][:2], own[last][:2]) if step in own else [0, 0]
            assert np.abs(got["gt_trajectory"][row, step - 50] - wanted).max() < 1e-4


@pytest.mark.parametrize("frames", ["keyframes", "sweeps"])
def test_nuscenes_predicts_from_keyframes(nuscenes, made, frames) -> None:
    """Against the annotations as the table has them, in the world, and the poses; also where most frames have none."""
    tables = made("nuscenes")
    log = open_log(nuscenes, frames=frames)
    now = next(frame for frame in log if frame.time_ns == (tables.START_US + tables.SAMPLE_US) * 1000)
    params = {"agent_history": "nuscenes_prediction", "gt_trajectory": "nuscenes_prediction"}
    got = InputBuilder([*HISTORY, *FUTURE], params=params, training=True).build(now)
    seen = {"moving": {0, 1, 2, 3}, "standing": {0, 1, 3}, "once": {1}}
    places = {"moving": [650, 1650, 11], "standing": [640, 1640, 1], "once": [640, 1640, 1]}
    world_from_ego = tables.world_from_ego(tables.START_US + tables.SAMPLE_US)
    turn = world_from_ego[:3, :3]
    assert got["agent_num"] == 3
    for row in range(3):
        name = next(name for name in seen if tables.token("scene-0001", name) == now.labels.track_id[row_of(got, row)])
        assert got["agent_type"][row] == (2 if name == "standing" else 0)
        masks = got["agent_mask"][row].tolist() + got["gt_trajectory_mask"][row].tolist()
        assert masks == [0, 0, 0] + [int(k in seen[name]) for k in range(4)] + [0] * 10
        values = np.concatenate([got["agent_history"][row, :, :2], got["gt_trajectory"][row]])
        for k in seen[name]:
            moved = tables.TRACK_VELOCITY * 0.5 * k if name == "moving" else 0
            wanted = turn.T @ (np.array(places[name]) + moved - world_from_ego[:3, 3])
            assert np.abs(values[3 + k] - wanted[:2]).max() < 1e-4
            heading = turn.T @ [np.cos(0.7 + 0.1 * k), np.sin(0.7 + 0.1 * k), 0]
            if k < 2:
                yaw = got["agent_history"][row, 3 + k, 2]
                assert abs(yaw - np.arctan2(heading[1], heading[0])) < 1e-5


def row_of(tensors, row):
    return int(tensors["agent_label_index"][row])
