"""Cameras as recorded: points and boxes fall where the pictures show them, by evidence that is not ours.

Labels in the picture and the pixels of others where there are such; else what the picture shows: edges where the lidar
sees one thing end before another, and the lamps of cars by night in their boxes. A camera that is turned, mirrored, or
read with its axes in another order must fail; each measure is asked that too.
"""

from __future__ import annotations

import json
from functools import partial

import cv2
import numpy as np
import pytest

from perceptum.datasets import memory_log, open_log
from perceptum.inputs import CameraImage, Lens, LidarSweep, Poses
from perceptum.inputs.poses import inverse, quaternion_from_rotation, rigid, rotation_from_quaternion

pytestmark = pytest.mark.data

FORWARD_FIRST = rigid([[0, -1, 0], [0, 0, -1], [1, 0, 0]], np.zeros(3))
"""What a reader would give that took x forward, y left, z up, as Waymo's cameras have them, for ours."""
CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])


def columns(sweep):
    return np.stack([sweep.x, sweep.y, sweep.z], axis=1).astype(np.float64)


def moved(transform, points):
    return points @ transform[:3, :3].T + transform[:3, 3]


def camera_from_ego(frame, picture):
    """From the ego frame at the frame's time, by the poses of both moments."""
    world_from_camera = frame.log.world_from_ego(picture.time_ns) @ picture.ego_from_camera
    return inverse(world_from_camera) @ frame.world_from_ego


def inside(pixels, valid, size):
    with np.errstate(invalid="ignore"):
        return valid & (pixels >= 0).all(axis=1) & (pixels <= np.array(size[::-1]) - 1).all(axis=1)


def corners_of(boxes):
    """(B, 8, 3) of boxes x y z length width height yaw."""
    turned = rotation_from_quaternion(
        np.stack([np.cos(boxes[:, 6] / 2), *np.zeros((2, len(boxes))), np.sin(boxes[:, 6] / 2)], 1)
    )
    return (CORNERS * boxes[:, None, 3:6]) @ turned.transpose(0, 2, 1) + boxes[:, None, :3]


def rectangle(pixels, size):
    """Left, top, right, bottom of pixels, cut at the picture's border."""
    last = np.array(size[::-1]) - 1.0
    return np.concatenate([np.clip(pixels.min(axis=0), 0, last), np.clip(pixels.max(axis=0), 0, last)])


def overlap(a, b):
    """Intersection over union of two rectangles."""
    width, height = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    areas = [(r[2] - r[0]) * (r[3] - r[1]) for r in (a, b)]
    return width * height / (sum(areas) - width * height)


def turned(axis, degrees):
    """A camera turned about one of its axes."""
    return rigid(cv2.Rodrigues(np.eye(3)[axis] * np.radians(degrees))[0], np.zeros(3))


# KITTI: boxes in the picture, drawn by hand


@pytest.fixture(scope="module")
def kitti_boxes(real_kitti):
    frame = open_log(real_kitti)[0]
    text = (real_kitti / "training" / "label_2" / "000134.txt").read_text()
    rows = [line.split() for line in text.splitlines() if not line.startswith("DontCare")]
    assert [row[0] for row in rows] == frame.labels.category.tolist()
    return frame, np.array([row[4:8] for row in rows], dtype=float)


def overlaps(frame, picture, camera_from_ego, wanted):
    out, size = [], picture.decode().shape[:2]
    for corners, drawn in zip(corners_of(frame.labels.boxes), wanted, strict=True):
        pixels, valid = picture.lens.project(moved(camera_from_ego, corners))
        out.append(overlap(rectangle(pixels, size), drawn) if valid.all() else 0.0)
    return np.array(out)


def test_kittis_boxes_are_where_they_were_drawn_in_the_picture(kitti_boxes):
    frame, drawn = kitti_boxes
    picture = frame.cameras["image_2"]
    found = overlaps(frame, picture, camera_from_ego(frame, picture), drawn)
    rigid_ones = np.isin(frame.labels.category, ["Car", "Cyclist"])
    # arms and legs reach out of the boxes of those who walk, or fill less of them
    assert rigid_ones.sum() == 8
    assert found[rigid_ones].min() > 0.97
    assert found.min() > 0.4
    for wrong in (turned(1, 1.0), turned(0, 1.0), turned(2, 5.0), np.diag([-1.0, 1, 1, 1]), FORWARD_FIRST):
        assert np.median(overlaps(frame, picture, wrong @ camera_from_ego(frame, picture), drawn)[rigid_ones]) < 0.8


def test_all_of_kittis_points_are_in_the_picture(kitti_boxes):
    frame, _ = kitti_boxes
    picture = frame.cameras["image_2"]
    height, width = picture.decode().shape[:2]
    pixels, valid = picture.lens.project(moved(camera_from_ego(frame, picture), columns(frame.lidar)))
    within = valid & (pixels >= 0).all(axis=1) & (pixels < (width, height)).all(axis=1)
    assert (int(within.sum()), len(within)) == (19097, 19097)


# nuScenes: the pixels of its own devkit


def test_nuscenes_boxes_have_the_pixels_of_its_devkit(real_nuscenes):
    """The centres of labelled boxes, each through the car's pose when the picture was taken."""
    frame = open_log(real_nuscenes)[0]
    [info] = json.loads((real_nuscenes / "mmdet3d_info.json").read_text())["data_list"]
    centres = moved(frame.lidar.ego_from_sensor, np.array([one["bbox_3d"][:3] for one in info["instances"]]))
    compared = 0
    for name, picture in frame.cameras.items():
        seen = moved(camera_from_ego(frame, picture), centres)
        pixels, valid = picture.lens.project(seen)
        for theirs in info["cam_instances"][name]:
            off = np.linalg.norm(pixels[valid] - theirs["center_2d"], axis=1)
            # they are written as float32
            assert off.min() < 5e-4
            assert abs(seen[valid][np.argmin(off), 2] - theirs["depth"]) < 1e-5
            compared += 1
        assert picture.size == picture.decode().shape[:2] == (900, 1600)
    assert compared == 84


@pytest.mark.parametrize(("camera", "wanted"), [("CAM_FRONT", 3053), ("CAM_BACK", 4820)])
def test_nuscenes_points_fall_into_the_pictures_as_published(real_nuscenes, camera, wanted):
    frame = open_log(real_nuscenes)[0]
    picture = frame.cameras[camera]
    seen = moved(camera_from_ego(frame, picture), moved(frame.lidar.ego_from_sensor, columns(frame.lidar)))
    pixels, valid = picture.lens.project(seen)
    within = (pixels > 1).all(axis=1) & (pixels < np.array(picture.size[::-1]) - 1).all(axis=1)
    assert int((valid & within & (seen[:, 2] > 1)).sum()) == wanted


# DDAD: boxes in the picture and in space have the same number


def pose_of(stored):
    rotation, place = stored["rotation"], stored["translation"]
    wxyz = [rotation[name] for name in ("qw", "qx", "qy", "qz")]
    return rigid(rotation_from_quaternion(wxyz), [place[name] for name in "xyz"])


def stamp_of(file_name):
    """The files are named by counts of 100 ns; the JSON's own stamps take those for microseconds."""
    return int(file_name.rpartition("/")[2].partition(".")[0]) * 100


@pytest.fixture(scope="module")
def ddad(real_data):
    """The log, and for each frame and camera the 3D and 2D annotations by number."""
    folder = real_data / "ddad_dgp" / "test_scene" / "scene_01"
    scene = json.loads(next(folder.glob("scene_*.json")).read_text())
    calibration = json.loads(next(folder.glob("calibration/*.json")).read_text())
    at = {name: i for i, name in enumerate(calibration["names"])}
    records = {one["key"]: (one["id"]["name"], *one["datum"].items()) for one in scene["data"]}
    sweeps, pictures, poses, annotations = [], [], {}, []
    for sample in scene["samples"]:
        for name, (kind, datum) in (records[key] for key in sample["datum_keys"]):
            path, time_ns = folder / datum["filename"], stamp_of(datum["filename"])
            if kind == "point_cloud":
                x, y, z, intensity = np.load(path)["data"].T
                sweeps.append(LidarSweep("LIDAR", time_ns, np.eye(4), x, y, z, intensity=intensity))
                poses[time_ns] = pose_of(datum["pose"])
                in_space = json.loads((folder / datum["annotations"]["1"]).read_text())["annotations"]
                annotations.append(({one["instance_id"]: one["box"] for one in in_space}, {}))
            else:
                numbers, mount = calibration["intrinsics"][at[name]], pose_of(calibration["extrinsics"][at[name]])
                intrinsics = [
                    [numbers["fx"], numbers["skew"], numbers["cx"]],
                    [0, numbers["fy"], numbers["cy"]],
                    [0, 0, 1],
                ]
                pictures.append(
                    CameraImage(name, time_ns, np.array(intrinsics), mount, path.read_bytes, size=(1216, 1936))
                )
                poses[time_ns] = pose_of(datum["pose"]) @ inverse(mount)
                drawn = json.loads((folder / datum["annotations"]["0"]).read_text())["annotations"]
                annotations[-1][1][name] = {one["instance_id"]: one["box"] for one in drawn}
    times = sorted(poses)
    wxyz = [quaternion_from_rotation(poses[time][:3, :3]) for time in times]
    motion = Poses(np.array(times), np.array(wxyz), np.array([poses[time][:3, 3] for time in times]), max_gap_ns=10**9)
    return memory_log(sweeps, cameras=pictures, poses=motion), annotations


def ddad_overlaps(log, annotations, wrong=None):
    out = []
    for frame, (in_space, drawn) in zip(log, annotations, strict=True):
        assert set(frame.cameras) == {"CAMERA_01", "CAMERA_05", "CAMERA_06"}
        for name, picture in frame.cameras.items():
            camera = camera_from_ego(frame, picture) if wrong is None else wrong @ camera_from_ego(frame, picture)
            for number in in_space.keys() & drawn[name].keys():
                box, wanted = in_space[number], drawn[name][number]
                corners = moved(pose_of(box["pose"]), CORNERS * [box["length"], box["width"], box["height"]])
                pixels, valid = picture.lens.project(moved(camera, corners))
                left, top = wanted["x"], wanted["y"]
                rectangle_there = np.array([left, top, left + wanted["w"], top + wanted["h"]], dtype=float)
                found = overlap(rectangle(pixels, picture.size), rectangle_there) if valid.all() else np.nan
                out.append(found)
    return np.array(out)


def test_ddads_boxes_are_where_the_pictures_labels_are(ddad):
    found = ddad_overlaps(*ddad)
    assert np.isfinite(found).sum() > 140
    assert np.nanmedian(found) > 0.96
    assert np.nanpercentile(found, 5) > 0.9
    for wrong in (turned(1, 1.0), turned(0, 1.0), np.diag([-1.0, 1, 1, 1]), FORWARD_FIRST):
        assert np.median(np.nan_to_num(ddad_overlaps(*ddad, wrong))) < 0.7


def test_ddads_pictures_are_of_the_size_that_the_calibration_is_for(ddad):
    log, _ = ddad
    assert {picture.decode().shape for picture in log[0].cameras.values()} == {(1216, 1936, 3)}


# PandaSet: edges


def edge_points(points, origin):
    """(N,) where something ends to the left or right, and what is behind it is 10 % and 1 m further."""
    offset = points - origin
    distance = np.linalg.norm(offset, axis=1)
    step = np.radians(0.35)
    column = ((np.arctan2(offset[:, 1], offset[:, 0]) + np.pi) / step).astype(int)
    row = ((np.arcsin(offset[:, 2] / np.maximum(distance, 1e-9)) + np.pi / 2) / (1.5 * step)).astype(int)
    looked = (distance > 3) & (distance < 60)
    nearest = np.full((row.max() + 1, column.max() + 1), np.inf)
    np.minimum.at(nearest, (row[looked], column[looked]), distance[looked])
    ends = np.zeros(nearest.shape, dtype=bool)
    for side in (-1, 1):
        beside = np.roll(nearest, side, axis=1)
        ends |= np.isfinite(beside) & (beside > 1.1 * nearest + 1)
    return looked & ends[row, column] & (distance < nearest[row, column] + 0.2)


def contrast(image):
    """(H, W) how much brightness changes from left to right, a little blurred, so that a pixel beside counts too."""
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.5)
    across = np.abs(cv2.Sobel(grey, cv2.CV_32F, 1, 0))
    across = np.minimum(across, np.percentile(across, 98))
    return cv2.GaussianBlur(cv2.dilate(across, np.ones((3, 5))), (0, 0), 2)


def at_edges(picture, strength, camera, points):
    """The contrast where the points fall, of that of the whole picture."""
    pixels, valid = picture.lens.project(moved(camera, points))
    column, row = pixels[inside(pixels, valid, strength.shape)].round().astype(int).T
    return strength[row, column].mean() / strength.mean() if len(row) > 20 else 0.0


@pytest.fixture(scope="module")
def pandaset(real_data):
    folder = real_data / "pandaset_scale"
    sweeps, pictures, poses = [], [], []
    for number in (1, 2):
        stored = (folder / "pointcloud" / f"{number}.ply").read_bytes()
        body = stored.partition(b"end_header\n")[2]
        x, y, z, intensity = np.frombuffer(body, "<f4").reshape(-1, 4).T
        # nothing has a time; they come ten a second
        time_ns = number * 100_000_000
        # the axes are x right, y forward
        sweeps.append(LidarSweep("lidar", time_ns, np.eye(4), x, y, z, intensity=intensity))
        for name in ("front_camera", "front_left_camera", "back_camera"):
            own = folder / "cameras" / name
            numbers, place = (json.loads((own / f"{what}.json").read_text()) for what in ("intrinsics", "extrinsics"))
            intrinsics = np.array([[numbers["fx"], 0, numbers["cx"]], [0, numbers["fy"], numbers["cy"]], [0, 0, 1]])
            mount = rigid(rotation_from_quaternion(place["heading"]), place["position"])
            read = (own / f"{number}.jpg").read_bytes
            pictures.append(CameraImage(name, time_ns, intrinsics, mount, read, size=(1080, 1920)))
        poses.append(json.loads((folder / "poses" / f"{number}.json").read_text()))
    wxyz, places = (np.array([pose[what] for pose in poses]) for what in ("heading", "position"))
    return memory_log(sweeps, cameras=pictures, poses=Poses(np.array([1, 2]) * 100_000_000, wxyz, places))


def test_pandasets_points_fall_into_the_pictures_as_published(pandaset):
    frame, counts = pandaset[0], {}
    for name, picture in frame.cameras.items():
        seen = moved(camera_from_ego(frame, picture), columns(frame.lidar))
        pixels, valid = picture.lens.project(seen)
        within = valid & (pixels >= 0).all(axis=1) & (pixels < picture.size[::-1]).all(axis=1)
        counts[name] = int((within & (seen[:, 2] > 1)).sum())
    assert counts == {"front_camera": 68121, "front_left_camera": 36937, "back_camera": 24257}


def test_things_end_in_pandasets_pictures_where_they_end_for_its_lidar(pandaset):
    frame = pandaset[0]
    points = columns(frame.lidar)
    points = points[edge_points(points, np.array([0, 0, 1.9]))]
    pictures = list(frame.cameras.values())
    strengths = [contrast(picture.decode()) for picture in pictures]

    def score(wrong):
        return np.mean(
            [
                at_edges(picture, strength, wrong @ camera_from_ego(frame, picture), points)
                for picture, strength in zip(pictures, strengths, strict=True)
            ]
        )

    right = score(np.eye(4))
    assert right > 2.7
    for wrong in (*(turned(axis, degrees) for axis in (0, 1) for degrees in (-3, 3)), np.diag([-1.0, 1, 1, 1])):
        assert score(wrong) < 0.9 * right
    assert score(FORWARD_FIRST) < 0.7 * right


# aiMotive: a road by night, two cameras with Brown's distortion and two fisheyes


def lit(image):
    """(H, W) how much brightness changes."""
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.5)
    return np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))


def in_boxes(lens, light, camera, boxes):
    """How much light changes in the pictures of boxes, of those that are seen whole; 0 where none is."""
    means = []
    for corners in corners_of(boxes):
        pixels, valid = lens.project(moved(camera, corners))
        if inside(pixels, valid, light.shape).all() and np.ptp(pixels, axis=0).max() >= 8:
            mask = np.zeros(light.shape, np.uint8)
            cv2.fillConvexPoly(mask, cv2.convexHull(pixels.astype(np.float32)).astype(np.int32), 1)
            means.append(light[mask > 0].mean())
    return (np.mean(means), len(means)) if means else (0.0, 0)


@pytest.mark.parametrize(
    ("camera", "boxes"),
    [("B_MIDRANGECAM_C", 4), ("F_MIDLONGRANGECAM_CL", 3), ("M_FISHEYE_L", 6), ("M_FISHEYE_R", 8)],
)
def test_aimotives_boxes_hold_the_lamps_of_cars(real_aimotive, camera, boxes):
    frame = open_log(real_aimotive)[0]
    picture = frame.cameras[camera]
    image = picture.decode()
    assert picture.size == image.shape[:2]
    measured = partial(in_boxes, picture.lens, lit(image), boxes=frame.labels.boxes)
    right, seen = measured(inverse(picture.ego_from_camera))
    assert seen == boxes
    assert right > 3 * lit(image).mean()
    sideways = [measured(turned(1, degrees) @ inverse(picture.ego_from_camera))[0] for degrees in (-6, -3, 3, 6)]
    assert max(sideways) < 0.98 * right
    assert min(sideways) < 0.7 * right
    assert measured(FORWARD_FIRST @ inverse(picture.ego_from_camera))[0] < 0.5 * right
    if camera.startswith("M_FISHEYE"):
        assert picture.lens.model == "mei"
        pinhole = partial(in_boxes, Lens(picture.intrinsics), lit(image), boxes=frame.labels.boxes)
        assert pinhole(inverse(picture.ego_from_camera))[0] < 0.2 * right
    else:
        assert picture.lens.model == "brown"
        upwards = [measured(turned(0, degrees) @ inverse(picture.ego_from_camera))[0] for degrees in (-3, 3)]
        assert max(upwards) < 0.6 * right


def test_things_end_in_a_fisheyes_picture_where_they_end_for_the_lidar(real_aimotive):
    frame = open_log(real_aimotive)[0]
    picture = frame.cameras["M_FISHEYE_R"]
    points = columns(frame.lidar)
    points = points[edge_points(points, frame.lidar.origin)]
    strength, camera = contrast(picture.decode()), inverse(picture.ego_from_camera)
    right = at_edges(picture, strength, camera, points)
    assert right > 1.3
    for wrong in (turned(1, -3), turned(1, 3), turned(0, 3), np.diag([-1.0, 1, 1, 1]), FORWARD_FIRST):
        assert at_edges(picture, strength, wrong @ camera, points) < 0.93 * right


def test_the_van_beside_the_car_is_in_the_right_fisheyes_picture(real_aimotive):
    """17827 points, from 2 m on: all round the middle of the picture, and within the picture of their box."""
    frame = open_log(real_aimotive)[0]
    van = frame.labels.boxes[5]
    assert (frame.labels.category[5], np.round(van[:2], 1).tolist()) == ("VAN", [1.3, -4.1])
    offset = columns(frame.lidar) - van[:3]
    points = columns(frame.lidar)[(np.abs(offset) <= van[3:6] / 2 + 0.2).all(axis=1)]
    assert len(points) > 15_000
    picture = frame.cameras["M_FISHEYE_R"]
    pixels, valid = picture.lens.project(moved(inverse(picture.ego_from_camera), points))
    assert inside(pixels, valid, picture.size).all()
    left, top, right, bottom = np.percentile(pixels, [1, 99], axis=0).ravel()
    # as it looks: from its lamp to its tail, and from the roof to the wheels
    assert 370 < left < 450
    assert 800 < right < 850
    assert 195 < top < 230
    assert 300 < bottom < 380
    other = frame.cameras["M_FISHEYE_L"]
    pixels, valid = other.lens.project(moved(inverse(other.ego_from_camera), points))
    assert not inside(pixels, valid, other.size).any()


# Argoverse 2: no pictures in the extract, so where its cameras look


def test_argoverse_2s_cameras_look_where_their_names_say(real_argoverse2):
    source = open_log(real_argoverse2).source
    looks = {}
    for name, intrinsics in source.intrinsics.items():
        mount, (height, width) = source.ego_from_sensors[name], source.sizes[name]
        lens = Lens(intrinsics)
        (ray, left, above), _ = lens.unproject([[intrinsics[0, 2], intrinsics[1, 2]], [0, height / 2], [width / 2, 0]])
        ahead = mount[:3, :3] @ ray
        looks[name] = int(np.degrees(np.arctan2(ahead[1], ahead[0])).round())
        # the left of a picture is to the left, and its top above
        assert np.cross(ahead, mount[:3, :3] @ left)[2] > 0.1
        assert (mount[:3, :3] @ above)[2] > 0.1
        # what the lidar sees along the axis is in the middle of the picture
        pixels, valid = lens.project(moved(inverse(mount), (mount[:3, 3] + 20 * ahead)[None]))
        assert valid.all()
        assert np.abs(pixels - intrinsics[:2, 2]).max() < 1e-6
        assert (width, height) == ((1550, 2048) if name == "ring_front_center" else (2048, 1550))
    assert looks == pytest.approx(
        {
            "ring_front_center": 0,
            "ring_front_left": 45,
            "ring_front_right": -45,
            "ring_side_left": 99,
            "ring_side_right": -99,
            "ring_rear_left": 153,
            "ring_rear_right": -153,
            "stereo_front_left": 0,
            "stereo_front_right": 0,
        },
        abs=3,
    )
