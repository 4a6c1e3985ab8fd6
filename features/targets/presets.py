"""Published parameters of targets, by the names that their projects use."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..classes import CLASS_LISTS
from ..preset import Preset

__all__ = ["BOXES", "BOXES_2D", "HEATMAP", "PIXOR", "SEGMENTATION"]

_SEVEN = ["x", "y", "z", "length", "width", "height", "yaw"]

BOXES: Mapping[str, Preset] = MappingProxyType(
    {
        "openpcdet": Preset(
            {"columns": [*_SEVEN, "label"], "label_base": 1},
            follows="OpenPCDet/pcdet/datasets/dataset.py, gt_boxes of prepare_data",
        ),
        "openpcdet_kitti": Preset(
            {"classes": "kitti", "columns": [*_SEVEN, "label"], "label_base": 1, "frame": "lidar"},
            follows="OpenPCDet/tools/cfgs/kitti_models/second.yaml, CLASS_NAMES",
        ),
        "openpcdet_nus": Preset(
            {"classes": "nuscenes", "columns": [*_SEVEN, "vx", "vy", "label"], "label_base": 1, "frame": "lidar"},
            follows="OpenPCDet/tools/cfgs/dataset_configs/nuscenes_dataset.yaml",
        ),
        "mmdet3d": Preset(
            {"columns": _SEVEN, "centre": "bottom"},
            follows="mmdetection3d/mmdet3d/structures/bbox_3d/lidar_box3d.py",
        ),
        "mmdet3d_nus": Preset(
            {"classes": "nuscenes", "columns": [*_SEVEN, "vx", "vy"], "centre": "bottom", "frame": "lidar"},
            follows="mmdetection3d/configs/_base_/datasets/nus-3d.py",
        ),
        "mmdet3d_0": Preset(
            {
                "columns": ["x", "y", "z", "width", "length", "height", "yaw"],
                "centre": "bottom",
                "heading": "mmdet3d_0",
            },
            follows="mmdetection3d v0.17, mmdet3d/core/bbox/structures/lidar_box3d.py",
        ),
    }
)
"""Of gt_boxes."""

_OF_CENTRE = ["offset_x", "offset_y", "z", "log_length", "log_width", "log_height"]
_VOXEL0075 = {"range": [-54, -54, -5, 54, 54, 3], "voxel": [0.075, 0.075, 0.2]}
_VOXEL01 = {"range": [-51.2, -51.2, -5, 51.2, 51.2, 3], "voxel": [0.1, 0.1, 0.2]}
_PILLAR02 = {"range": [-51.2, -51.2, -5, 51.2, 51.2, 3], "voxel": [0.2, 0.2, 8]}
_WAYMO = {"range": [-75.2, -75.2, -2, 75.2, 75.2, 4], "voxel": [0.1, 0.1, 0.15]}
_TASKS = (
    ("car",),
    ("truck", "construction_vehicle"),
    ("bus", "trailer"),
    ("barrier",),
    ("motorcycle", "bicycle"),
    ("pedestrian", "traffic_cone"),
)
"""The heads of CenterPoint for nuScenes, and their classes."""


def _of_task(task: tuple[str, ...]) -> list[dict[str, Any]]:
    named = {one.name: one for one in CLASS_LISTS["nuscenes"]}
    return [{"name": name, "of": list(named[name].of)} for name in task]


def _mmdet3d(grid: dict[str, Any], stride: int) -> dict[str, Any]:
    """As mmdetection3d makes the targets of nuScenes, from boxes in the axes of the lidar."""
    by = {"cell": "truncate", "object_order": "class", "box_range": grid["range"], "box_range_axes": "xy"}
    return {"classes": "nuscenes", "frame": "lidar", "grid": grid, "stride": stride, **by}


_MMDET3D = "mmdetection3d/configs/_base_/models/centerpoint_"
_VOXEL = _MMDET3D + "voxel01_second_secfpn_nus.py"

HEATMAP: Mapping[str, Preset] = MappingProxyType(
    {
        "centerpoint_nus_voxel0075": Preset(
            _mmdet3d(_VOXEL0075, 8),
            follows="mmdetection3d/configs/centerpoint/centerpoint_voxel0075_second_secfpn_8xb4-cyclic-20e_nus-3d.py",
        ),
        "centerpoint_nus_voxel01": Preset(_mmdet3d(_VOXEL01, 8), follows=_VOXEL),
        "centerpoint_nus_pillar02": Preset(_mmdet3d(_PILLAR02, 4), follows=_MMDET3D + "pillar02_second_secfpn_nus.py"),
        **{
            f"centerpoint_nus_task{number}": Preset(
                {**_mmdet3d(_VOXEL0075, 8), "classes": _of_task(task)}, follows=_VOXEL + ", tasks"
            )
            for number, task in enumerate(_TASKS)
        },
        "openpcdet_nus_voxel0075": Preset(
            {
                "classes": "nuscenes",
                "frame": "lidar",
                "grid": _VOXEL0075,
                "cell": "clamp",
                "columns": [*_OF_CENTRE, "cos_yaw", "sin_yaw", "vx", "vy"],
                "box_range": _VOXEL0075["range"],
            },
            follows="OpenPCDet/tools/cfgs/nuscenes_models/cbgs_voxel0075_res3d_centerpoint.yaml",
        ),
        "centerpoint_waymo": Preset(
            {
                "classes": "waymo",
                "grid": _WAYMO,
                "cell": "clamp",
                "columns": [*_OF_CENTRE, "cos_yaw", "sin_yaw"],
                "box_range": _WAYMO["range"],
            },
            follows="OpenPCDet/tools/cfgs/waymo_models/centerpoint.yaml",
        ),
        "transfusion_nus": Preset(
            _mmdet3d(_VOXEL0075, 8),
            follows="TransFusion/mmdet3d/models/dense_heads/transfusion_head.py, the heatmap of get_targets_single",
        ),
        "bevfusion_nus": Preset(
            {**_mmdet3d(_VOXEL0075, 8), "bev_layout": "CXY"},
            follows="bevfusion/mmdet3d/models/heads/bbox/transfusion.py, whose maps have x before y",
        ),
    }
)
"""Of gt_heatmap."""

SEGMENTATION: Mapping[str, Preset] = MappingProxyType(
    {
        "nuscenes_lidarseg": Preset(
            {"classes": "nuscenes_lidarseg", "source": "points", "label_base": 1, "no_class": 0, "frame": "lidar"},
            follows="nuscenes-devkit/python-sdk/nuscenes/eval/lidarseg/utils.py, whose 0 is ignored",
        ),
        "semantic_kitti": Preset(
            {"classes": "semantic_kitti", "source": "points", "label_base": 1, "no_class": 0, "frame": "lidar"},
            follows="semantic-kitti-api/config/semantic-kitti.yaml, learning_map",
        ),
        "pointrcnn": Preset(
            {
                "classes": "kitti",
                "label_base": 1,
                "no_class": 0,
                "frame": "lidar",
                "range": [0, -40, -1000, 70.4, 40, 1000],
            },
            follows="OpenPCDet/pcdet/models/dense_heads/point_head_box.py, without the extra width of its boxes",
        ),
    }
)
"""Of gt_segmentation."""

BOXES_2D: Mapping[str, Preset] = MappingProxyType(
    {
        "nuscenes": Preset(
            {"classes": "nuscenes", "edges": "published", "lens": "none"},
            follows="nuscenes-devkit/python-sdk/nuscenes/scripts/export_2d_annotations_as_json.py",
        ),
    }
)
"""Of gt_boxes_2d."""

PIXOR: Mapping[str, Preset] = MappingProxyType(
    {
        "pixor_kitti": Preset(
            {"classes": [{"name": "car", "of": ["Car"]}], "frame": "lidar", "positive_scale": 1.0, "ignore_scale": 1.0},
            follows="PIXOR (philip-huang)/srcs/datagen.py, whose boxes are positive as a whole",
        ),
    }
)
"""Of gt_pixor."""
