"""Radar tensors from every dataset that has radars: the same columns mean the same, whoever measured them."""

from __future__ import annotations

import numpy as np
import pytest

from perceptum.builders import InputBuilder
from perceptum.datasets import open_log
from perceptum.features import canonical

SMALL = {"frames": 4, "seed": 1, "beams": 8, "azimuth_steps": 180, "image_size": (80, 48)}
NAMES = ["radar_points", "radar_num_points", "radar_valid", "radar_bev", "radar_voxels", "radar_voxel_coords"]
PLACES = {"filter": "none", "num_sweeps": 1, "max_points": None}


@pytest.fixture(
    params=["synthetic", "nuscenes", "view_of_delft", "aimotive", "mcap_recording", "ros1_bag", "rosbag2", "store"]
)
def frame(request, tmp_path):
    """The last frame of a log that has radars."""
    if request.param in ("synthetic", "store"):
        log = open_log("synthetic", **SMALL)
        if request.param == "store":
            from perceptum.convert import convert

            convert(log, tmp_path / "store")
            log = open_log(tmp_path / "store")
    else:
        log = open_log(request.getfixturevalue(request.param))
    assert log.source.radars
    return next(frame for frame in reversed(list(log)) if sum(map(len, frame.radar_sweeps(1))))


def build(frame, params, names=("radar_points",)):
    groups = {canonical().group_of(name).name for name in names}
    return InputBuilder(list(names), params=dict.fromkeys(groups, params)).build(frame)


def in_ego(frame):
    """Each detection's record, place in its sensor and in the ego frame, newest cycle first."""
    for cycle in frame.radar_sweeps(1):
        xyz = np.stack([cycle.x, cycle.y, cycle.z], axis=1).astype(np.float64)
        yield cycle, xyz, xyz @ cycle.ego_from_sensor[:3, :3].T + cycle.ego_from_sensor[:3, 3]


def test_places_are_in_the_ego_frame_and_doppler_is_positive_for_what_recedes(frame):
    cycles = list(in_ego(frame))
    tensors = build(frame, {**PLACES, "compensate": "none", "columns": ["x", "y", "z"]}, NAMES[:3])
    wanted = np.concatenate([ego for _, _, ego in cycles])
    np.testing.assert_allclose(tensors["radar_points"], wanted, atol=1e-4, rtol=1e-6)
    assert tensors["radar_num_points"][0] == len(wanted)
    assert tensors["radar_valid"].sum() == len({cycle.sensor for cycle, _, _ in cycles})
    if not all(np.isfinite(cycle.origin).all() for cycle, _, _ in cycles):
        return
    if any(cycle.v_radial is None and cycle.vx is None for cycle, _, _ in cycles):
        return
    found = build(frame, {**PLACES, "columns": ["v_radial", "vx", "vy"], "velocity_axes": "sensor"})["radar_points"]
    begin = 0
    for cycle, xyz, _ in cycles:
        own = found[begin : begin + len(cycle)]
        begin += len(cycle)
        away = xyz - cycle.origin
        ray = away / np.linalg.norm(away, axis=1, keepdims=True)
        if cycle.v_radial is not None:
            np.testing.assert_allclose(own[:, 0], np.asarray(cycle.v_radial, np.float32), rtol=1e-6)
        else:
            flat = np.stack([cycle.vx, cycle.vy], axis=1).astype(np.float64)
            np.testing.assert_allclose(own[:, 0], (ray[:, :2] * flat).sum(axis=1), atol=1e-4)
        if cycle.vx is None:
            # the vector that is made of it points away where it recedes
            np.testing.assert_allclose(own[:, 1:], ray[:, :2] * own[:, :1], atol=1e-4)


def test_all_tensors_are_built_and_what_a_radar_does_not_have_is_zero(frame):
    params = {"filter": "devkit", "missing_columns": "fill"}
    tensors = build(frame, params, NAMES)
    assert tensors["radar_points"].shape[1] == 7
    for array in tensors.values():
        assert np.isfinite(array).all()
    assert len(tensors["radar_voxels"]) == len(tensors["radar_voxel_coords"])
    occupied = tensors["radar_bev"][:6].any(axis=0)
    assert occupied.sum() == len(tensors["radar_voxels"])
