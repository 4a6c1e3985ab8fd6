"""Writes what nuScenes' devkit makes of every sample of a root. It runs in the devkit's environment, without us:

    .venv-devkit/bin/python tests/datasets/devkit_oracle.py ROOT VERSION OUT

By the sample's token:
    TOKEN/LIDAR_TOP          (5, N): x y z intensity, and the lag; ten sweeps without what is close
    TOKEN/RADAR.../FILTER    (19, N): the 18 fields, and the lag; six cycles without what is close
    TOKEN/CAM...             (3, N): column, row and depth of the newest sweep's points
    TOKEN/boxes/AXES         (G, 9): centre, length width height, yaw, velocity in x and y; of the ego and of the lidar
    TOKEN/tracks, TOKEN/categories, TOKEN/points    (G,)
"""

import sys

import numpy as np
from nuscenes.eval.common.utils import quaternion_yaw
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud, RadarPointCloud
from nuscenes.utils.geometry_utils import view_points
from pyquaternion import Quaternion

LIDAR = "LIDAR_TOP"
FILTERS = {"devkit": RadarPointCloud.default_filters, "none": RadarPointCloud.disable_filters}


def past(nuscenes, sample, cloud, channel, sweeps):
    points, lags_s = cloud.from_file_multisweep(nuscenes, sample, channel, LIDAR, nsweeps=sweeps, min_distance=1.0)
    return np.vstack([points.points, lags_s])


def pixels(nuscenes, sample, camera):
    """The steps of NuScenesExplorer.map_pointcloud_to_image, which keeps float32 between them, in float64."""
    records = [nuscenes.get("sample_data", sample["data"][channel]) for channel in (LIDAR, camera)]
    cloud = LidarPointCloud.from_file(nuscenes.get_sample_data_path(records[0]["token"]))
    cloud.points = cloud.points.astype(np.float64)
    mounts = [nuscenes.get("calibrated_sensor", record["calibrated_sensor_token"]) for record in records]
    poses = [nuscenes.get("ego_pose", record["ego_pose_token"]) for record in records]
    for place in (mounts[0], poses[0]):
        cloud.rotate(Quaternion(place["rotation"]).rotation_matrix)
        cloud.translate(np.array(place["translation"]))
    for place in (poses[1], mounts[1]):
        cloud.translate(-np.array(place["translation"]))
        cloud.rotate(Quaternion(place["rotation"]).rotation_matrix.T)
    flat = view_points(cloud.points[:3], np.array(mounts[1]["camera_intrinsic"]), normalize=True)
    return np.vstack([flat[:2], cloud.points[2]])


def boxes(nuscenes, sample):
    record = nuscenes.get("sample_data", sample["data"][LIDAR])
    pose = nuscenes.get("ego_pose", record["ego_pose_token"])
    mount = nuscenes.get("calibrated_sensor", record["calibrated_sensor_token"])
    rows = {"ego": [], "lidar": []}
    for box in nuscenes.get_boxes(record["token"]):
        box.velocity = nuscenes.box_velocity(box.token)
        for axes, place in (("ego", pose), ("lidar", mount)):
            box.translate(-np.array(place["translation"]))
            box.rotate(Quaternion(place["rotation"]).inverse)
            length_width_height = box.wlh[[1, 0, 2]]
            rows[axes].append([*box.center, *length_width_height, quaternion_yaw(box.orientation), *box.velocity[:2]])
    return rows


def answers(nuscenes):
    for sample in nuscenes.sample:
        own = sample["token"]
        yield f"{own}/{LIDAR}", past(nuscenes, sample, LidarPointCloud, LIDAR, 10)
        for channel in sample["data"]:
            if channel.startswith("CAM"):
                yield f"{own}/{channel}", pixels(nuscenes, sample, channel)
            for name, choose in FILTERS.items() if channel.startswith("RADAR") else ():
                choose()
                yield f"{own}/{channel}/{name}", past(nuscenes, sample, RadarPointCloud, channel, 6)
        for axes, rows in boxes(nuscenes, sample).items():
            yield f"{own}/boxes/{axes}", np.array(rows).reshape(-1, 9)
        annotations = [nuscenes.get("sample_annotation", token) for token in sample["anns"]]
        yield f"{own}/tracks", np.array([one["instance_token"] for one in annotations])
        yield f"{own}/categories", np.array([one["category_name"] for one in annotations])
        yield f"{own}/points", np.array([one["num_lidar_pts"] for one in annotations])


if __name__ == "__main__":
    root, version, out = sys.argv[1:]
    with open(out, "wb") as file:
        np.savez(file, **dict(answers(NuScenes(version, root, verbose=False))))
