"""Named parameters of published models, and the code that they follow."""

from __future__ import annotations

from typing import Any

from ..preset import Preset

__all__ = ["HISTORY", "RASTER"]

Presets = dict[str, Preset]

_AV2_TYPES = [
    *("vehicle", "pedestrian", "motorcyclist", "cyclist", "bus"),
    *("static", "background", "construction", "riderless_bicycle", "unknown"),
]
_NUSCENES = [
    {"name": "vehicle", "of": ["vehicle.*"]},
    {"name": "object", "of": ["movable_object.*", "static_object.*"]},
    {"name": "human or animal", "of": ["human.*", "animal*"]},
]
_ALL = [{"name": "agent", "of": ["*"]}]
_SECONDS_2: dict[str, Any] = {"num_steps": 20, "dt": 0.1}

HISTORY: Presets = {
    "lanegcn": Preset(
        {
            "agents": {
                **_SECONDS_2,
                "classes": _ALL,
                "select": "trailing",
                "range": [-100, -100, 100, 100],
                "radius": None,
                "max_agents": 128,
                "include_ego": "first",
            },
            "columns": ["dx", "dy", "observed"],
        },
        follows="LaneGCN data.py, get_obj_feats (uber-research), which keeps every agent and has the axes of the one "
        "that is to be predicted, here those of the vehicle",
    ),
    "vectornet": Preset(
        {
            "agents": {**_SECONDS_2, "classes": _ALL, "include_ego": "first", "max_agents": 128},
            "columns": ["x", "y", "dx", "dy", "time_lag"],
        },
        follows="in the style of the paper (Gao et al. 2020, section 3.1), of which no configuration is public: a "
        "vector's end, the vector and its time",
    ),
    "hivt": Preset(
        {
            "agents": {
                **_SECONDS_2,
                "classes": _ALL,
                "select": "ever",
                "include_ego": "first",
                "radius": None,
                "max_agents": 128,
            },
            "columns": ["dx", "dy"],
        },
        follows="HiVT datasets/argoverse_v1_dataset.py (ZikangZhou), which turns to each agent's heading in the model",
    ),
    "qcnet": Preset(
        {
            "agents": {
                "classes": _AV2_TYPES,
                "num_steps": 50,
                "dt": 0.1,
                "select": "ever",
                "include_ego": "first",
                "radius": None,
                "max_agents": 256,
            },
            "columns": ["x", "y", "z", "yaw", "vx", "vy"],
        },
        follows="QCNet datasets/argoverse_v2_dataset.py, get_agent_features (ZikangZhou), which counts the vehicle "
        "among the vehicles, here class 10, and takes a step for seen only where the one before is, too",
    ),
    "nuplan": Preset(
        {
            "agents": {
                "num_steps": 5,
                "dt": 0.375,
                "max_agents": 31,
                "include_ego": "first",
                "ego_size": [5.176, 2.297, 1.777],
                "ego_middle": [1.461, 0, 0],
            },
            "columns": ["x", "y", "yaw", "vx", "vy", "yaw_rate", "length", "width"],
            "layout": "TAF",
        },
        follows="nuplan-devkit nuplan/planning/training/preprocessing/feature_builders/"
        "generic_agents_feature_builder.py with script/config/common/model/urban_driver_open_loop_model.yaml "
        "(motional), 1.5 s in 4 steps, 30 agents; of the vehicle it has accelerations instead of yaw rate and "
        "size, and yaw rates are smoothed",
    ),
    "l5kit": Preset(
        {
            "agents": {
                "num_steps": 4,
                "dt": 0.1,
                "classes": _ALL,
                "include_ego": "first",
                "select": "ever",
                "radius": 35.0,
                "max_agents": 31,
            },
            "columns": ["x", "y", "yaw"],
        },
        follows="l5kit l5kit/vectorization/vectorizer.py with examples/urban_driver/config.yaml (woven-planet), 3 "
        "steps of the past and the vehicle with 30 others within 35 m; it has the newest step first",
    ),
    "mtr": Preset(
        {
            "agents": {
                "classes": "waymo",
                "num_steps": 11,
                "dt": 0.1,
                "select": "ever",
                "include_ego": "as_agent",
                "radius": None,
                "max_agents": 128,
            },
            "columns": [
                *("x", "y", "z", "length", "width", "height"),
                *("sin_yaw", "cos_yaw", "vx", "vy", "ax", "ay"),
            ],
        },
        follows="MTR mtr/datasets/waymo/waymo_dataset.py (sshaoshuai), about the vehicle instead of each agent that is "
        "to be predicted; classes and steps as numbers follow from agent_type and the place in the row",
    ),
    "nuscenes_prediction": Preset(
        {
            "agents": {"classes": _NUSCENES, "num_steps": 5, "dt": 0.5},
            "columns": ["x", "y", "yaw", "vx", "vy", "ax", "ay", "yaw_rate"],
        },
        follows="nuscenes-devkit python-sdk/nuscenes/prediction/helper.py (nutonomy), 2 s at 2 Hz as in its input "
        "representation",
    ),
}

RASTER: Presets = {
    "nuplan": Preset(
        {
            "tracks": {"num_steps": 1, "ego_size": [5.176, 2.297, 1.777], "ego_middle": [1.461, 0, 0]},
            "ego": True,
            "range": [-56, -56, 56, 56],
            "cell": 0.5,
            "bev_layout": "CXY",
            "flip_x": True,
            "flip_y": True,
        },
        follows="nuplan-devkit nuplan/planning/script/config/common/model/raster_model.yaml and nuplan/planning/"
        "training/preprocessing/features/raster_utils.py (motional), which has the vehicle before the agents, and "
        "smooths the boxes' edges",
    ),
    "l5kit": Preset(
        {
            "tracks": {"num_steps": 11, "dt": 0.1, "classes": _ALL},
            "ego": True,
            "range": [-28, -56, 84, 56],
            "cell": 0.5,
            "flip_y": True,
        },
        follows="l5kit l5kit/rasterization/box_rasterizer.py with examples/agent_motion_prediction/"
        "agent_motion_config.yaml (woven-planet), about the vehicle and with 10 steps of the past, where that file has "
        "none; it smooths the boxes' edges",
    ),
    "nuscenes_prediction": Preset(
        {
            "tracks": {"classes": _NUSCENES, "num_steps": 5, "dt": 0.5},
            "ego": True,
            "range": [-10, -25, 40, 25],
            "cell": 0.1,
            "bev_layout": "CXY",
            "flip_x": True,
            "flip_y": True,
            "colours": [[255, 255, 0], [204, 0, 204], [255, 153, 51], [255, 0, 0]],
            "fade_from": 0.4,
        },
        follows="nuscenes-devkit python-sdk/nuscenes/prediction/input_representation/agents.py, "
        "AgentBoxesWithFadedHistory (nutonomy), with the vehicle as the agent in red; MTP and CoverNet lay it over "
        "the map",
    ),
}
