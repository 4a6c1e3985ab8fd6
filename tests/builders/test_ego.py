"""ego_pose and reference_stamp."""

from __future__ import annotations

import numpy as np

from perceptum.builders import InputBuilder
from perceptum.inputs import Poses
from perceptum.inputs.poses import quaternion_from_yaw

T0 = 1_700_000_000_000_000_123


def test_the_pose_is_float64_and_the_stamp_int64_to_the_last_digit(memory_log, sweep_of, build):
    times = T0 + np.arange(3) * 100_000_000
    poses = Poses(
        times, quaternion_from_yaw([0, 0.1, 0.2]), np.array([[4.7e6 + k * 0.1, 6.6e5, 1e-3] for k in range(3)])
    )
    log = memory_log([sweep_of(np.ones((1, 3)), time_ns=int(t)) for t in times], poses)
    for k, frame in enumerate(log):
        tensors = build(["ego_pose", "reference_stamp"], frame)
        assert tensors["ego_pose"].dtype == np.float64
        assert np.array_equal(tensors["ego_pose"], frame.world_from_ego)
        assert tensors["ego_pose"][0, 3] == 4.7e6 + k * 0.1
        assert tensors["reference_stamp"].dtype == np.int64
        assert tensors["reference_stamp"].tolist() == [T0 + k * 100_000_000]


def test_the_stamp_alone_needs_no_pose(memory_log, sweep_of):
    log = memory_log([sweep_of(np.ones((1, 3)), time_ns=T0)], Poses.fixed([T0 + 10**9]))
    assert InputBuilder(["reference_stamp"]).build(log[0])["reference_stamp"].tolist() == [T0]
