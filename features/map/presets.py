"""Named parameters of published models: what differs, and the configuration they follow."""

from __future__ import annotations

from typing import Any

from ..preset import Preset

__all__ = ["BEVFUSION_SEG", "GROUND", "LANE_DIRECTION", "RASTER", "RGB"]

BEVFUSION_SEG: dict[str, Any] = {
    "frame": "lidar",
    "range": [-50, -50, 50, 50],
    "cell": 0.5,
    "layers": [
        "drivable_area",
        "crossing",
        "walkway",
        "stop_line",
        "carpark_area",
        "road_divider+lane_divider",
    ],
    "rule": "cv2",
    "bev_layout": "CXY",
}
_PAPER = "in the style of the paper, which has no public code: "
# the axes of its views of the lidar, whose heights are above the ground
_HDNET: dict[str, Any] = {"frame": "ego_ground", "range": [0, -40, 70, 40], "cell": 0.1}

RASTER = {
    "bevfusion_seg": Preset(
        BEVFUSION_SEG,
        follows="mit-han-lab/bevfusion configs/nuscenes/seg/default.yaml and mmdet3d/datasets/pipelines/loading.py, "
        "whose crossing is ped_crossing",
    ),
    "hdnet": Preset(
        {**_HDNET, "layers": ["drivable_area"]},
        follows=_PAPER + "HDNET (Yang et al. 2018), the road mask on PIXOR's cells",
    ),
    "intentnet": Preset(
        {
            "range": [-72, -40, 72, 40],
            "cell": 0.2,
            "layers": [
                "drivable_area",
                "intersection",
                "lane",
                "lane_connector",
                "crossing",
                "stop_line",
                "lane_divider",
                "road_divider",
                "road_boundary",
            ],
            "values": "-1/+1",
        },
        follows=_PAPER + "IntentNet (Casas et al. 2018), whose 17 channels also show turns and traffic lights",
    ),
    "multixnet": Preset(
        {
            "range": [-75, -50, 75, 50],
            "cell": 0.16,
            "layers": ["drivable_area", "lane", "intersection", "crossing", "lane_boundary"],
        },
        follows=_PAPER + "MultiXNet (Djuric et al. 2021); the direction of lanes is map_lane_direction",
    ),
    "nuplan": Preset(
        {
            "range": [-56, -56, 56, 56],
            "cell": 0.5,
            "layers": ["lane+intersection+stop_line*0.5+crossing*0.5", "lane_centerline"],
            "line_width": 0.5,
            "bev_layout": "CXY",
            "flip_x": True,
            "flip_y": True,
        },
        follows="motional/nuplan-devkit nuplan/planning/script/config/common/model/raster_model.yaml and "
        "nuplan/planning/training/preprocessing/features/raster_utils.py, whose edges are smoothed and which takes the "
        "rear axle for the origin",
    ),
}

LANE_DIRECTION = {
    "multixnet": Preset(
        {"range": [-75, -50, 75, 50], "cell": 0.16},
        follows=_PAPER + "MultiXNet (Djuric et al. 2021), whose lanes have their direction as a colour",
    ),
}

GROUND = {
    "hdnet": Preset(
        _HDNET,
        follows=_PAPER + "HDNET (Yang et al. 2018), on PIXOR's cells",
    ),
}

RGB = {
    "nus_prediction_rgb": Preset(
        {
            "range": [-10, -25, 40, 25],
            "cell": 0.1,
            "bev_layout": "CXY",
            "flip_x": True,
            "flip_y": True,
            "paints": [
                {"layer": "drivable_area", "color": [255, 255, 255]},
                {"layer": "crossing", "color": [119, 136, 153]},
                {"layer": "walkway", "color": [0, 0, 255]},
                {"layer": "lane_centerline", "color": "heading"},
            ],
        },
        follows="nutonomy/nuscenes-devkit python-sdk/nuscenes/prediction/input_representation/static_layers.py, around "
        "the vehicle instead of an agent, channels first as MTP takes them; it draws shapes with their outlines",
    ),
    "l5kit": Preset(
        {
            "range": [-28, -56, 84, 56],
            "cell": 0.5,
            "flip_y": True,
            "background": [255, 255, 255],
            "paints": [
                {"layer": "lane", "color": [17, 17, 31]},
                {"layer": "lane_boundary", "color": [255, 217, 82]},
                {"layer": "crossing", "color": [255, 117, 69], "draw": "outline"},
            ],
            "samples": 4,
            "values": "0-1",
        },
        follows="woven-planet/l5kit l5kit/l5kit/rasterization/semantic_rasterizer.py without traffic lights, whose "
        "edges OpenCV smooths: LINE_AA",
    ),
}
