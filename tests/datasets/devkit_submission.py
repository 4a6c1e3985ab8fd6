"""Reads a file of detections as nuScenes' devkit does, and writes the boxes in the ego frame. It runs in the devkit's
environment, without us:

    .venv-devkit/bin/python tests/datasets/devkit_submission.py FILE ROOT VERSION OUT

OUT holds {"meta": ..., "boxes": {sample: [[x y z width length height yaw vx vy score], ...]}, "names": {sample:
[[class, attribute], ...]}}.
"""

import json
import sys

import numpy as np
from nuscenes.eval.common.loaders import load_prediction
from nuscenes.eval.common.utils import quaternion_yaw
from nuscenes.eval.detection.data_classes import DetectionBox
from nuscenes.nuscenes import NuScenes
from pyquaternion import Quaternion

if __name__ == "__main__":
    file, root, version, out = sys.argv[1:]
    predictions, meta = load_prediction(file, 500, DetectionBox)
    nuscenes = NuScenes(version, root, verbose=False)
    boxes, names = {}, {}
    for token in predictions.sample_tokens:
        lidar = nuscenes.get("sample_data", nuscenes.get("sample", token)["data"]["LIDAR_TOP"])
        pose = nuscenes.get("ego_pose", lidar["ego_pose_token"])
        back = Quaternion(pose["rotation"]).inverse
        boxes[token], names[token] = [], []
        for box in predictions[token]:
            centre = back.rotate(np.array(box.translation) - np.array(pose["translation"]))
            yaw = quaternion_yaw(back * Quaternion(box.rotation))
            velocity = back.rotate([*box.velocity, 0.0])[:2]
            boxes[token].append([*centre, *box.size, yaw, *velocity, box.detection_score])
            names[token].append([box.detection_name, box.attribute_name])
    with open(out, "w") as written:
        json.dump({"meta": meta, "boxes": boxes, "names": names}, written)
