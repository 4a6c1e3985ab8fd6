"""Invariant 7: whatever a record holds, every tensor is made of numbers, and what was left out is counted."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from perceptum.builders import InputBuilder
from perceptum.features import canonical
from perceptum.inputs import Poses

# the voxels in the lidar's axes: rows of one suffix share their frame of reference
NAMES = [f"{f.name}__lidar" if canonical().group_of(f.name).name == "lidar_voxels" else f.name for f in canonical()]
OF_POINTS = ("lidar_camera", "gt_segmentation")
MS = 1_000_000
T0 = 1_700_000_000_000_000_000
GRID = {"range": [-4, -4, -2, 4, 4, 2], "voxel": [1, 1, 1]}
CHANNELS = ["range", "x", "intensity", "elongation", "azimuth", "inclination", "height", "time_lag", "occupancy"]
MOUNT = np.eye(4)
MOUNT[:3, :3] = Rotation.from_euler("zyx", [0.8, 0.7, -0.6]).as_matrix()
POSES = Poses(
    T0 + np.arange(3) * 50 * MS,
    Rotation.from_euler("z", [[0.0], [0.3], [0.7]]).as_quat(scalar_first=True),
    np.array([[5e6, 1e5, 10.0], [5e6 + 1, 1e5, 10], [5e6 + 2, 1e5, 10]]),
)
huge = [np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 1e31, 1e-45, -0.0]
number = st.one_of(st.sampled_from([float(np.float32(v)) for v in huge]), st.floats(-9, 9, width=32))
point = st.tuples(number, number, number, number, number)


def params(columns, mode, features, frame):
    cloud = {"intensity_mode": mode, "nonfinite_features": features, "frame": frame}
    return {
        "frame": frame,
        "lidar_points": {**cloud, "columns": columns, "num_sweeps": 2},
        "lidar_voxels": {**cloud, "grid": GRID, "columns": columns},
        "lidar_pillars": {**cloud, "grid": GRID, "columns": ["x", "y", "z", *(c for c in columns if c not in "xyz")]},
        "lidar_bev_occupancy": {**cloud, "grid": GRID},
        "lidar_bev_stats": {**cloud, "grid": GRID, "channels": ["slice_height", "var_z", "height_ratio", "mean_z"]},
        "lidar_bev_temporal": {**cloud, "grid": GRID, "num_sweeps": 2},
        "lidar_range_image": {"intensity_mode": mode, "height": 4, "width": 8, "channels": CHANNELS, "gaps": "windows"},
    }


@settings(max_examples=40, deadline=None)
@given(
    points=st.lists(point, max_size=25),
    mode=st.sampled_from(["raw", "unit", "tanh"]),
    features=st.sampled_from(["zero", "drop"]),
    frame=st.sampled_from(["ego", "lidar"]),
    scale=st.sampled_from([255.0, 1e-6]),
)
def test_nothing_that_is_no_number_is_ever_written_into_a_tensor(
    memory_log, sweep_of, points, mode, features, frame, scale
):
    cloud = np.float32(points).reshape(-1, 5)
    sweeps = [
        sweep_of(
            cloud[:, :3],
            cloud[:, 3],
            time_ns=T0 + k * 50 * MS,
            ring=cloud[:, 4],
            elongation=cloud[:, 4],
            offset_ns=np.arange(len(cloud)) * MS,
            ego_from_sensor=MOUNT,
            intensity_scale=scale,
        )
        for k in (0, 1)
    ]
    columns = ["x", "y", "z", "intensity", "time_lag", "ring"]
    # of all their points, and not of those of lidar_points
    names = [f"{name}__own" if name.startswith(OF_POINTS) else name for name in NAMES]
    builder = InputBuilder(names, training=True, params=params(columns, mode, features, frame))
    tensors = builder.build(memory_log(sweeps, POSES)[1])
    for name, array in tensors.items():
        assert np.isfinite(array).all(), name
    # coordinates beyond any world count as not finite: a rotation would make them so
    bad = ~(np.abs(cloud[:, :3]) < 2.0**100).all(axis=1)
    if features == "drop":
        bad |= ~(np.abs(cloud[:, 3]) < 2.0**100)
    assert tensors.dropped["non-finite points"] == 2 * bad.sum()
    assert tensors["lidar_num_points"].tolist() == [2 * (len(cloud) - bad.sum())]
