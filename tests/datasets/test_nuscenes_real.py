"""nuScenes as recorded: the published answers."""

import json

import numpy as np
import pytest

from perceptum.builders import InputBuilder
from perceptum.datasets import open_log
from perceptum.inputs.poses import inverse


def columns(sweep):
    return np.stack([sweep.x, sweep.y, sweep.z], axis=1).astype(np.float64)


@pytest.fixture
def frame(real_nuscenes):
    return open_log(real_nuscenes)[0]


@pytest.mark.data
def test_the_real_sweep_is_as_published(frame):
    sweep = frame.lidar
    points = columns(sweep)
    assert len(sweep) == 34688
    assert frame.time_ns == 1532402927647951000
    assert int((np.linalg.norm(points, axis=1) < 1).sum()) == 8029
    assert np.unique(sweep.ring).tolist() == list(range(32))
    assert (sweep.intensity.min(), sweep.intensity.max()) == (0, 255)
    assert (sweep.intensity == np.floor(sweep.intensity)).all()
    # rings count from the lowest beam up
    far = np.linalg.norm(points, axis=1) > 3
    elevation = np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1]))
    by_row = [np.median(elevation[far & (sweep.row_of_ring[sweep.ring.astype(int)] == row)]) for row in range(32)]
    assert (np.diff(by_row) < 0).all()


@pytest.mark.data
def test_real_boxes_hold_the_published_number_of_points(frame, real_nuscenes):
    text = (real_nuscenes / "mmdet3d_info.json").read_text()
    assert "NaN" in text
    [info] = json.loads(text)["data_list"]
    points, exact, total = columns(frame.lidar), 0, 0
    for instance in info["instances"]:
        x, y, z, length, width, height, yaw = instance["bbox_3d"]
        offset = points - [x, y, z]
        along = offset[:, 0] * np.cos(yaw) + offset[:, 1] * np.sin(yaw)
        across = offset[:, 1] * np.cos(yaw) - offset[:, 0] * np.sin(yaw)
        within = (np.abs(along) <= length / 2) & (np.abs(across) <= width / 2) & (np.abs(offset[:, 2]) <= height / 2)
        exact += int(within.sum()) == instance["num_lidar_pts"]
        total += int(within.sum())
    assert (len(info["instances"]), exact, total) == (69, 61, 994)


@pytest.mark.data
def test_the_real_annotation_is_the_published_box(frame, real_nuscenes):
    """The same box in the published list, there in the lidar frame; its one track has no velocity."""
    [info] = json.loads((real_nuscenes / "mmdet3d_info.json").read_text())["data_list"]
    labels = frame.labels
    centre = (inverse(frame.lidar.ego_from_sensor) @ [*labels.boxes[0, :3], 1])[:3]
    boxes = np.array([instance["bbox_3d"] for instance in info["instances"]])
    nearest = boxes[np.argmin(np.linalg.norm(boxes[:, :3] - centre, axis=1))]
    np.testing.assert_allclose(centre, nearest[:3], atol=1e-3)
    np.testing.assert_allclose(labels.boxes[0, 3:6], nearest[3:6], atol=1e-6)
    # the lidar's x axis is the car's right
    turned = labels.boxes[0, 6] + np.pi / 2 - nearest[6]
    assert abs(np.arctan2(np.sin(turned), np.cos(turned))) < 0.02
    assert labels.category.tolist() == ["human.pedestrian.adult"]
    assert labels.num_points.tolist() == [1]
    assert np.isnan(labels.velocity).all()


@pytest.mark.data
@pytest.mark.parametrize(("camera", "wanted"), [("CAM_FRONT", 3053), ("CAM_BACK", 4820)])
def test_real_points_fall_into_the_pictures_through_each_cameras_own_pose(frame, camera, wanted):
    picture = frame.cameras[camera]
    world_from_lidar = frame.world_from_ego @ frame.lidar.ego_from_sensor
    world_from_camera = frame.log.world_from_ego(picture.time_ns) @ picture.ego_from_camera
    points = np.column_stack([columns(frame.lidar), np.ones(len(frame.lidar))])
    seen = (points @ (inverse(world_from_camera) @ world_from_lidar).T)[:, :3]
    u, v, depth = (seen @ picture.intrinsics.T).T
    ahead = depth > 1
    u, v = u[ahead] / depth[ahead], v[ahead] / depth[ahead]
    height, width, _ = picture.decode().shape
    assert (height, width) == (900, 1600)
    assert int(((u > 1) & (u < width - 1) & (v > 1) & (v < height - 1)).sum()) == wanted


@pytest.mark.data
def test_as_many_real_points_have_a_pixel_as_the_devkit_draws(frame):
    seen = {"take": "all", "margin": 1, "depth_range": [1, None], "lidar": {"compensate": "per_sweep"}}
    params = {"lidar_camera_pixels": seen, "image": {"cameras": ["CAM_FRONT", "CAM_BACK"]}}
    index = InputBuilder(["lidar_camera_index"], params=params).build(frame)["lidar_camera_index"]
    assert (index >= 0).sum(axis=0).tolist() == [3053, 4820]


@pytest.mark.data
@pytest.mark.parametrize("camera", ["CAM_FRONT", "CAM_BACK_LEFT"])
def test_real_depth_is_the_nearest_of_the_real_points_on_each_pixel(frame, camera):
    """Rounded as BEVDet does, in pictures of 256 x 704 pixels."""
    image = {"cameras": [camera], "resize": 0.48, "crop": [256, 704], "crop_at": [1, 0.5]}
    own = {"lidar": {"compensate": "per_sweep"}, "pixel": "round", "image": {**image, "pixel_convention": "published"}}
    got = InputBuilder(["camera_depth"], params={"camera_depth": own}).build(frame)["camera_depth"][0]
    picture = frame.cameras[camera]
    world_from_lidar = frame.world_from_ego @ frame.lidar.ego_from_sensor
    world_from_camera = frame.log.world_from_ego(picture.time_ns) @ picture.ego_from_camera
    points = np.column_stack([columns(frame.lidar), np.ones(len(frame.lidar))])
    u, v, depth = picture.intrinsics @ (points @ (inverse(world_from_camera) @ world_from_lidar).T)[:, :3].T
    ahead = (depth >= 1) & (depth < 60)
    depth = depth[ahead]
    column, row = np.round(u[ahead] / depth * 0.48 - 32), np.round(v[ahead] / depth * 0.48 - 176)
    inside = (column >= 0) & (column < 704) & (row >= 0) & (row < 256)
    expected = np.full(256 * 704, np.inf)
    np.minimum.at(expected, (row * 704 + column).astype(int)[inside], depth[inside])
    expected = np.where(np.isinf(expected), 0, expected).reshape(256, 704)
    # but for points that lie on the border of two pixels to float32, in which they were moved
    assert np.count_nonzero(np.abs(got - expected) > 1e-4) <= 4
    assert np.count_nonzero(got) > 2000


@pytest.mark.data
def test_each_real_record_has_its_own_pose(frame):
    stamps_us = [frame.time_ns // 1000, *(picture.time_ns // 1000 for picture in frame.cameras.values())]
    assert len(frame.cameras) == 6
    assert frame.poses.times_ns.tolist() == sorted(stamp * 1000 for stamp in stamps_us)
    assert np.round(frame.world_from_ego[:3, 3], 2).tolist() == [411.30, 1180.89, 0]
    assert frame.map is None
