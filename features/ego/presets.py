"""Named parameters of published models, and the configuration they follow."""

from __future__ import annotations

from ..preset import Preset

__all__ = ["MOTION", "REFERENCE", "STATE"]

MOTION = {
    "bevdet4d": Preset(
        {"num_past": 1, "times": "frames", "direction": "past_from_ref", "planar": "drop_z"},
        follows="BEVDet mmdet3d/models/detectors/bevdet.py (HuangJunJie2017), BEVDet4D, whose features of the keyframe "
        "before are sampled through it",
    ),
}

STATE = {
    "bevformer": Preset(
        {
            "columns": [
                *("moved_x", "moved_y", "moved_z"),
                *("orientation_w", "orientation_x", "orientation_y", "orientation_z"),
                *("specific_force_x", "specific_force_y", "specific_force_z"),
                *("angular_rate_x", "angular_rate_y", "angular_rate_z"),
                *("velocity_x", "velocity_y", "velocity_z"),
                *("world_heading", "turned_deg"),
            ],
            "source": "signals",
            "moment": "after",
            "tolerance_s": None,
        },
        follows="BEVFormer tools/data_converter/nuscenes_converter.py and projects/mmdet3d_plugin/datasets/"
        "nuscenes_dataset.py (fundamentalvision), its can_bus: 7 to 15 are of the first message after the sample, and "
        "17 is in degrees; without CAN messages those nine are 0, while its poses are still known",
    ),
    "nuscenes_prediction": Preset(
        {"columns": ["speed", "acceleration_x", "angular_rate_z"], "differences": "backward", "half_width_s": 0.5},
        follows="nuscenes-devkit python-sdk/nuscenes/prediction/helper.py (nutonomy), the state that MTP and CoverNet "
        "take with their picture, of the vehicle instead of an agent; its differences are between two samples alone, "
        "and its acceleration is that of the speed",
    ),
}

REFERENCE = {
    "bevfusion": Preset(
        {"part": "change", "frame": "lidar"},
        follows="BEVFusion mmdet3d/datasets/pipelines/transforms_3d.py (mit-han-lab), lidar_aug_matrix",
    ),
}
