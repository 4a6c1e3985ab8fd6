"""Named parameters of published models for the map's vectors, and the code they follow."""

from __future__ import annotations

from ..preset import Preset

__all__ = ["LANE_GRAPH", "POLYLINES"]

_TWENTY = {"order": "nearest", "points_per_polyline": 20, "columns": ["x", "y"], "boundaries_by": "lane"}

POLYLINES = {
    "vectornet": Preset(
        {
            "layers": ["left_boundary", "right_boundary"],
            "order": "map",
            "max_polylines": None,
            "radius": 30.0,
            "boundaries_by": "lane",
            "points_per_polyline": 9,
            "elements": "vectors",
            "columns": [
                *("x_prev", "y_prev", "z_prev", "x", "y", "z"),
                *("traffic_control", "intersection", "polyline"),
            ],
        },
        follows="xk-huang/yet-another-vectornet utils/lane_utils.py and utils/feature_utils.py, which shift boundaries "
        "from the centrelines of Argoverse 1 by half a lane's width; these are the map's own",
    ),
    "l5kit": Preset(
        {
            **_TWENTY,
            "layers": ["lane_centerline", "lane_boundary", "crossing"],
            "counts": [30, 60, 20],
            "radius": 35.0,
            "points_beyond": "masked",
            "outlines": "recorded",
            "closed": False,
        },
        follows="woven-planet/l5kit l5kit/l5kit/vectorization/vectorizer.py with examples/urban_driver/config.yaml: "
        "lanes_mid, lanes and crosswalks one after the other, without the state of traffic lights; crosswalks nearest "
        "first, masked beyond the radius as lanes are",
    ),
    "mtr": Preset(
        {
            "layers": ["lane_centerline", "lane_divider", "road_boundary", "crossing", "speed_bump"],
            "max_polylines": 768,
            "radius": None,
            "centre": [30.0, 0.0],
            "distance_to": "mean_point",
            "points_per_polyline": 20,
            "resample": "spacing",
            "spacing": 0.5,
            "columns": ["x", "y", "z", "dir_x", "dir_y", "dir_z", "layer", "x_prev", "y_prev"],
        },
        follows="sshaoshuai/MTR mtr/datasets/waymo/waymo_dataset.py with tools/cfgs/waymo/mtr+100_percent_data.yaml, "
        "whose points are half a metre apart as Waymo's are; the layer's number stands for Waymo's code of a point",
    ),
    "nuplan": Preset(
        {
            **_TWENTY,
            "layers": ["lane_centerline", "left_boundary", "right_boundary", "stop_line", "crossing"],
            "counts": [30, 30, 30, 20, 20],
            "radius": 35.0,
            "resample": "number",
            "outlines": "recorded",
        },
        follows="motional/nuplan-devkit nuplan/planning/training/preprocessing/utils/vector_preprocessing.py with "
        "script/config/common/model/urban_driver_open_loop_model.yaml, without the lanes of a route",
    ),
}

LANE_GRAPH = {
    "lanegcn": Preset(
        {"select": "bounds", "turn": "map"},
        follows="uber-research/LaneGCN data.py, get_lane_graph, and preprocess_data.py, preprocess; Argoverse 1 gives "
        "every centreline ten points",
    ),
}
