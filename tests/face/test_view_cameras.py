"""The cameras' pictures to look at: everything lies where the built matrices say, and a wrong mount shows at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import perceptum as pc
from perceptum.datasets import memory_log
from perceptum.errors import UsageError
from perceptum.features import SpecError
from perceptum.features.camera import CameraImagesParams, ImageNorm, ImageParams
from perceptum.inputs import BrokenRecord, CameraImage, Labels, LidarSweep, MissingRecord, RadarSweep
from perceptum.inputs.poses import rigid
from perceptum.plural import counted
from perceptum.view import Scene, pictures_of_log, pictures_of_spec
from perceptum.view.boxes import box_lines
from perceptum.view.cameras import CameraView, PictureRows
from perceptum.view.projector import NEAR_M, Projector
from perceptum.view.sheet import arrange, title

SMALL = "synthetic:frames=2,beams=16,azimuth_steps=300,image_size=160x90"
LABEL_RGB, MODEL_RGB = (0x2A, 0x9D, 0x4A), (0xE4, 0x57, 0x2E)
AHEAD = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
SIZE = (90, 160)
K = np.array([[120.0, 0, 79.5], [0, 120, 44.5], [0, 0, 1]])
HAZE = np.array([196.0, 208, 222])
OUTPUTS = [
    {"name": "boxes", "dtype": "float32", "shape": ["n", 7]},
    {"name": "scores", "dtype": "float32", "shape": ["n"]},
]
DETECTOR = """
def model(ego_pose):
    return {"boxes": np.array([[12, 0, 1, 4, 2, 1.5, 0.5]], np.float32), "scores": np.array([0.9], np.float32)}
"""


def mount(yaw_deg: float = 0.0, place=(1.5, 0.0, 1.6)) -> np.ndarray:
    c, s = np.cos(np.radians(yaw_deg)), np.sin(np.radians(yaw_deg))
    return rigid(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ AHEAD, place)


def projector(ego_from_camera: np.ndarray) -> Projector:
    pixel_from_ego = np.linalg.inv(ego_from_camera)
    pixel_from_ego[:3] = K @ pixel_from_ego[:3]
    return Projector(SIZE, pixel_from_ego, ego_from_camera)


def picture(camera="front", time_ns=0, yaw_deg=0.0, size=SIZE, **more) -> CameraImage:
    import io

    buffer = io.BytesIO()
    Image.new("RGB", size[::-1], (40, 60, 90)).save(buffer, "PNG")
    values = {"intrinsics": K, "ego_from_camera": mount(yaw_deg), "read": buffer.getvalue, "size": size, **more}
    return CameraImage(camera, time_ns, **values)


def log_of(*cameras, xyz=((12.0, 0.0, 1.0),), labels=(), **more):
    x, y, z = np.array(xyz, np.float32).reshape(-1, 3).T
    sweep = LidarSweep("lidar", 0, np.eye(4), x, y, z)
    boxes = np.reshape(np.array(labels, float), (-1, 7))
    names = np.array(["car"] * len(boxes)), np.array([str(i) for i in range(len(boxes))])
    return memory_log([sweep], cameras=cameras, labels=[Labels(0, boxes, *names)], **more)


def scene_of(log, **more) -> Scene:
    return Scene.of(log[0], pictures=pictures_of_log(log[0]), **more)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as png:
        return np.asarray(png.convert("RGB")).astype(int)


def count(rgb: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((np.abs(rgb - color).max(axis=2) < 30).sum())


# where things lie


def test_a_point_lies_on_the_pixel_that_the_formula_gives():
    look = projector(mount(20))
    points = np.random.default_rng(0).uniform(-30, 30, (2000, 3))
    found, inside = look.pixels(points)
    camera = (np.linalg.inv(mount(20)) @ np.c_[points, np.ones(2000)].T).T[:, :3]
    with np.errstate(divide="ignore", invalid="ignore"):
        u, v = (K[0, 0] * camera[:, 0] / camera[:, 2] + K[0, 2], K[1, 1] * camera[:, 1] / camera[:, 2] + K[1, 2])
        wanted = (camera[:, 2] >= NEAR_M) & (u >= -0.5) & (u < 159.5) & (v >= -0.5) & (v < 89.5)
    np.testing.assert_array_equal(inside, wanted)
    assert 20 < inside.sum() < 1000
    np.testing.assert_allclose(found[inside], np.stack([u, v], axis=1)[inside], atol=1e-9)
    np.testing.assert_allclose(look.distances_m(points), np.linalg.norm(camera, axis=1), atol=1e-9)


ends = st.tuples(*[st.floats(-20, 20)] * 3)


@given(ends, ends)
def test_of_a_line_just_that_is_drawn_which_is_ahead_and_in_the_picture(first, last):
    look = projector(mount())
    line = np.array([first, last])
    found = look.lines(line[None])
    samples = line[0] + np.linspace(0, 1, 501)[:, None] * (line[1] - line[0])
    where, inside = look.pixels(samples)
    if len(found.pixels) == 0:
        # it may touch a corner between two samples
        assert inside.sum() <= 1
        return
    (begin, end), low, high = found.pixels[0], np.array([-0.5, -0.5]), np.array([159.5, 89.5])
    assert (found.pixels[0] >= low - 1e-6).all()
    assert (found.pixels[0] <= high + 1e-6).all()
    way = end - begin
    for at in where[inside]:
        share = np.clip((at - begin) @ way / max(way @ way, 1e-12), 0, 1)
        assert np.linalg.norm(begin + share * way - at) < 1e-6


def test_a_box_that_reaches_behind_the_camera_is_cut_and_not_wrapped_around():
    """Divided by a depth below 0, the corners behind the camera lie in the picture, upside down."""
    look = projector(mount())
    # a wall along the right side of the car, from 10 m behind to 20 m ahead
    (wall,) = box_lines(np.array([[5.0, -3.0, 1.6, 30.0, 0.5, 2.0, 0.0]]))
    found = look.lines(wall)
    assert len(found.pixels) > 5
    # all of it is to the right of the camera
    assert (found.pixels[..., 0] > 79.5).all()
    behind = box_lines(np.array([[-20.0, -3.0, 1.6, 10.0, 0.5, 2.0, 0.0]]))[0]
    assert len(look.lines(behind).pixels) == 0


def test_what_is_not_finite_is_not_drawn():
    look = projector(mount())
    boxes = np.array([[np.nan, 0, 0, 4, 2, 1, 0], [np.inf, 0, 0, 4, 2, 1, 0]])
    with np.errstate(invalid="ignore"):
        assert len(look.lines(box_lines(boxes).reshape(-1, 2, 3)).pixels) == 0
    assert not look.pixels(np.full((3, 3), np.nan))[1].any()


def test_what_is_drawn_is_projected_by_the_tensors_that_a_model_gets():
    frame = pc.open_log(SMALL)[1]
    params = {"camera_images": "crn_256x704", "camera_projection": "crn_256x704"}
    scene = Scene.of(frame, pictures=pictures_of_spec(["camera_images", "camera_projection"], params))
    rows = ["camera_images", {"name": "camera_projection", "dtype": "float64", "shape": [6, 4, 4]}, "lidar_points"]
    params["lidar_points"] = {"columns": ["x", "y", "z"]}
    built = pc.InputBuilder(rows, params=params).build(frame)
    cameras = pc.features.canonical().preset(pc.features.canonical().group("camera_images"), "crn_256x704")
    assert [one.view.camera for one in scene.cameras] == cameras.params["image"]["cameras"]
    homogeneous = np.c_[built["lidar_points"], np.ones(len(built["lidar_points"]))]
    for one, projection in zip(scene.cameras, built["camera_projection"], strict=True):
        q = homogeneous @ projection.T
        u, v = q[:, 0] / q[:, 2], q[:, 1] / q[:, 2]
        inside = (q[:, 2] >= NEAR_M) & (u >= -0.5) & (u < 703.5) & (v >= -0.5) & (v < 255.5)
        assert inside.sum() > 100
        wanted = np.stack([u, v], axis=1)[inside]
        np.testing.assert_allclose(np.sort(one.points, axis=0), np.sort(wanted, axis=0), atol=1e-6)


@pytest.mark.parametrize("preset", ["crn_256x704", "petr_320x800"])
def test_the_pictures_are_those_of_the_tensor_with_its_scaling_undone(preset):
    frame = pc.open_log(SMALL)[1]
    (rows,) = pictures_of_spec(["camera_images"], {"camera_images": preset})
    plain = PictureRows("a", CameraImagesParams(image=rows.images.image, resampler=rows.images.resampler, layout="HWC"))
    built = pc.InputBuilder([*rows.to_spec(), *plain.to_spec()]).build(frame)
    assert built["camera_images__view0"].dtype == np.float32
    assert built["camera_images__a"].dtype == np.uint8
    np.testing.assert_array_equal(rows.pixels(built["camera_images__view0"]), built["camera_images__a"])


def test_scalings_of_ones_own_are_undone_too():
    norm = ImageNorm(scale="1/255", mean=(0.1, 0.5, 0.9), std=(0.2, -0.5, 3.0), arithmetic="multiply")
    params = {"norm": norm, "layout": "HWC", "channel_order": "BGR"}
    rows = PictureRows("a", CameraImagesParams(**params))
    values = np.arange(256, dtype=np.float32)[None, :, None, None].repeat(3, -1)
    built = (values / 255 - np.array(norm.mean, np.float32)) / np.array(norm.std, np.float32)
    np.testing.assert_array_equal(rows.pixels(built), values)


def test_through_a_lens_things_lie_where_its_model_says():
    """A fisheye that looks to the left and sees further than to its sides: OpenCV's model, by hand."""
    k = np.array([0.02, -0.003, 0.0004, -0.00002])
    wide = {
        "distortion": k,
        "distortion_model": "fisheye",
        "intrinsics": np.array([[45.0, 0, 79.5], [0, 45, 44.5], [0, 0, 1]]),
    }
    # the last one is behind the camera's plane, and the one before straight behind it
    points = np.array([[1.5, 10, 1.6], [4, 8, 1], [9, 1.5, 1.6], [1.5, -9, 1.7], [7, -0.5, 1.6]])
    seen = [True, True, True, False, True]
    images = CameraImagesParams(image=ImageParams(cameras=("left",), resize=(45, 80), flip=True))
    scene = Scene.of(log_of(picture("left", yaw_deg=90, **wide), xyz=points)[0], pictures=[PictureRows("a", images)])
    camera = (np.linalg.inv(mount(90)) @ np.c_[points, np.ones(len(points))].T).T[:, :3]
    radius = np.hypot(camera[:, 0], camera[:, 1])
    theta = np.arctan2(radius, camera[:, 2])
    bent = theta * (1 + k @ (theta[None] ** np.array([[2], [4], [6], [8]])))
    share = np.divide(bent, radius, out=np.ones(len(points)), where=radius > 1e-9)
    u, v = 45 * share * camera[:, 0] + 79.5, 45 * share * camera[:, 1] + 44.5
    # resized to half, and flipped
    wanted = np.stack([79 - ((u + 0.5) / 2 - 0.5), (v + 0.5) / 2 - 0.5], axis=1)
    found, inside = scene.cameras[0].view.projector.pixels(points)
    assert inside.tolist() == seen
    np.testing.assert_allclose(found[inside], wanted[inside], atol=1e-9)
    assert len(scene.cameras[0].points) == 4


def test_in_an_undistorted_picture_things_lie_where_the_matrix_says():
    lens = {"distortion": np.array([-0.3, 0.1, 0.0, 0.0]), "distortion_model": "brown"}
    log = log_of(picture("a", **lens), xyz=[(6, 2.5, 1)])
    looks = []
    for undistort in (False, True):
        images = CameraImagesParams(image=ImageParams(cameras=("a",), undistort=undistort))
        (one,) = Scene.of(log[0], pictures=[PictureRows("a", images)]).cameras
        looks.append(one.view.projector)
        assert len(one.points) == 1
    assert looks[0].bent is not None
    assert looks[1].bent is None
    straight, _ = projector(mount()).pixels(np.array([[6, 2.5, 1]]))
    np.testing.assert_allclose(looks[1].pixels(np.array([[6, 2.5, 1]]))[0], straight, atol=1e-9)
    assert np.linalg.norm(looks[0].pixels(np.array([[6, 2.5, 1]]))[0] - straight) > 2


def test_a_straight_line_is_a_curve_through_a_lens():
    wide = {"distortion": np.array([0.02, -0.003, 0.0004, -0.00002]), "distortion_model": "fisheye"}
    log = log_of(picture(intrinsics=np.array([[45.0, 0, 79.5], [0, 45, 44.5], [0, 0, 1]]), **wide))
    look = scene_of(log).cameras[0].view.projector
    # a kerb from far on the left to far on the right, 3 m ahead
    found = look.lines(np.array([[[4.5, 30.0, 0], [4.5, -30, 0]]]))
    assert len(found.pixels) > 10
    assert (found.of == 0).all()
    v = found.pixels[:, 0, 1]
    # lower in the middle than at both sides, where it is further away
    assert v.max() - v[0] > 5
    assert v.max() - v[-1] > 5
    samples = np.stack([np.full(200, 4.5), np.linspace(30, -30, 200), np.zeros(200)], axis=1)
    where, inside = look.pixels(samples)
    begin, way = found.pixels[:, 0], found.pixels[:, 1] - found.pixels[:, 0]
    for at in where[inside]:
        share = np.clip(((at - begin) * way).sum(axis=1) / np.maximum((way * way).sum(axis=1), 1e-12), 0, 1)
        assert np.linalg.norm(begin + share[:, None] * way - at, axis=1).min() < 0.5


def test_the_corners_of_a_cameras_view_are_those_of_its_picture():
    look = projector(mount(20))
    centre, *corners = look.frustum(2.0)
    np.testing.assert_allclose(centre, mount(20)[:3, 3])
    where, _ = look.pixels(np.array(corners))
    np.testing.assert_allclose(where, [[-0.5, -0.5], [159.5, -0.5], [159.5, 89.5], [-0.5, 89.5]], atol=1e-9)


# a wrong calibration


def flipped(kind: str, cameras: dict[str, CameraImage]) -> list[CameraImage]:
    """What goes wrong with extrinsics, done to a car's cameras."""
    turned = np.diag([-1.0, -1.0, 1.0, 1.0])
    change = {
        "right": lambda m: m,
        "turned round": lambda m: rigid(turned[:3, :3] @ m[:3, :3], m[:3, 3]),
        "upside down": lambda m: m @ np.diag([-1.0, -1.0, 1.0, 1.0]),
        "camera_from_ego": np.linalg.inv,
    }
    if kind == "two cameras exchanged":
        names = [*cameras]
        mounts = dict(zip(names, [cameras[name].ego_from_camera for name in [*names[1:], names[0]]], strict=True))
        return [replace(image, ego_from_camera=mounts[name]) for name, image in cameras.items()]
    return [replace(image, ego_from_camera=change[kind](image.ego_from_camera)) for image in cameras.values()]


@pytest.fixture(scope="module")
def street():
    """A frame of the synthetic street, and the colour of what each of its labels is about."""
    log = pc.open_log("synthetic", frames=4, beams=16, azimuth_steps=300, image_size=(320, 180))
    frame = log[3]
    things = log.source.world.scene(frame.time_ns, 100.0).things
    colours = dict(zip(things.name, things.colour, strict=True))
    return frame, np.array([colours[track] for track in frame.labels.track_id])


def on_their_colour(scene: Scene, colours: np.ndarray) -> tuple[int, int]:
    """Of the labels whose middle falls into a picture: how many do so on the colour of their thing, and how many."""
    on, of = 0, 0
    for one in scene.cameras:
        middles = scene.frame.labels.boxes[:, :3]
        away = one.view.projector.distances_m(middles)
        where, inside = one.view.projector.pixels(middles)
        near = inside & (away < 40)
        for (u, v), colour, depth in zip(where[near], colours[near], away[near], strict=True):
            got = one.view.picture[int(np.rint(v)), int(np.rint(u))].astype(float)
            # in shade or in the sun, and paler with distance
            lit = np.linspace(0.62, 1.0, 12)[:, None] * colour * (1 - depth / 500) + depth / 500 * HAZE
            on += int((np.abs(lit - got).max(axis=1) < 15).any())
            of += 1
    return on, of


KINDS = ["right", "turned round", "upside down", "camera_from_ego", "two cameras exchanged"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_extrinsic_shows_at_once(street, kind, tmp_path):
    frame, colours = street
    given = memory_log(
        frame.sweeps(),
        cameras=flipped(kind, dict(frame.cameras)),
        labels=[frame.labels],
        poses=frame.poses,
        times_ns=[frame.time_ns],
    )
    scene = scene_of(given)
    scene.draw_cameras(tmp_path / "p.png")
    on, of = on_their_colour(scene, colours)
    if kind == "right":
        assert of > 20
        assert on / of > 0.4  # the others are hidden, or what lies behind their middle is not painted
        assert count(pixels(tmp_path / "p.png"), LABEL_RGB) > 2000
    else:
        assert on / of < 0.15


def test_a_mirrored_extrinsic_is_refused_by_name(street):
    front = street[0].cameras["CAM_FRONT"]
    mirrored = replace(front, ego_from_camera=np.diag([1.0, -1.0, 1.0, 1.0]) @ front.ego_from_camera)
    with pytest.raises(BrokenRecord, match=r"ego_from_camera of CAM_FRONT is .*, wanted a 4 x 4 rotation"):
        scene_of(memory_log(cameras=[mirrored], poses=street[0].poses, times_ns=[street[0].time_ns]))


# the sheet


def views_of(**yaws_deg: float) -> list[CameraView]:
    return [
        CameraView(name, np.zeros((9, 16, 3), np.uint8), 0.0, "", projector(mount(yaw)))
        for name, yaw in yaws_deg.items()
    ]


def names_of(views: list[CameraView]) -> list[list[str]]:
    return [[views[i].camera for i in row] for row in arrange(views)]


def test_cameras_lie_on_the_sheet_by_where_they_look():
    nuscenes = views_of(a=-110, b=0, c=-56, d=179.5, e=55, f=109)
    assert names_of(nuscenes) == [["e", "b", "c"], ["f", "d", "a"]]
    waymo = views_of(front=0, front_left=45, front_right=-45, side_left=90, side_right=-90)
    assert names_of(waymo) == [["side_left", "front_left", "front", "front_right", "side_right"]]
    # the middle one of these looks back, a little to the right
    rear = views_of(x=0, l=150, m=-179, r=-150)
    assert names_of(rear) == [["x"], ["l", "m", "r"]]


def test_of_a_stereo_pair_the_left_one_is_on_the_left():
    views = views_of(right=0.2, left=-0.2, ahead=45, more=-45)
    right, left = (projector(mount(0, (1.5, y, 1.6))) for y in (-0.3, 0.3))
    pair = [replace(views[0], projector=right), replace(views[1], projector=left)]
    assert names_of([*pair, *views[2:]]) == [["ahead", "left", "right", "more"]]


def test_a_camera_without_a_picture_comes_last():
    views = views_of(a=0, b=40, c=180)
    assert names_of([replace(views[0], missing="no picture"), *views[1:], *views_of(d=120)]) == [["b"], ["d", "c", "a"]]


def test_many_cameras_fill_several_rows():
    rows = names_of(views_of(**{f"c{i}": 8.0 * i - 44 for i in range(12)}))
    assert [len(row) for row in rows] == [5, 5, 2]
    assert [name for row in rows for name in row] == [f"c{i}" for i in range(11, -1, -1)]


def test_labels_and_models_boxes_are_drawn_in_the_pictures(tmp_path, code_package):
    log = log_of(picture(), labels=[[15, -3, 1, 4, 2, 1.5, 0.3]])
    scene = Scene.of(log[0], [code_package(DETECTOR, OUTPUTS)], True, pictures_of_log(log[0]))
    scene.draw_cameras(tmp_path / "p.png")
    rgb = pixels(tmp_path / "p.png")
    # the whole sheet is one picture, 1280 px wide, 8 px from the edges; the legend is below it
    scale = 1280 / 160
    for color, box in ((LABEL_RGB, log[0].labels.boxes[0]), (MODEL_RGB, scene.boxes["made of code"][0])):
        ((u, v),), _ = scene.cameras[0].view.projector.pixels(box[None, :3])
        rows, columns = np.nonzero(np.abs(rgb[68 : 68 + 720] - color).max(axis=2) < 30)
        assert len(rows) > 100
        middle = (columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2
        np.testing.assert_allclose(middle, ((u + 0.5) * scale + 8, (v + 0.5) * scale), atol=3 * scale)


def test_radar_returns_show_where_they_move():
    x, y, z, zero = (
        np.array([20.0, 20], np.float32),
        np.array([2.0, -2], np.float32),
        np.zeros(2, "f4"),
        np.zeros(2, "f4"),
    )
    cycle = RadarSweep("radar", 0, np.eye(4), x, y, z, vx_comp=zero, vy_comp=np.array([1.5, 0.1], np.float32))
    (one,) = scene_of(log_of(picture(), radars=[cycle])).cameras
    assert len(one.radar) == 2
    # what is slower than half a metre per second stands still
    ends, _ = one.view.projector.pixels(np.array([[20, 2, 0], [20, 3.5, 0.0]]))
    np.testing.assert_allclose(one.motion.pixels, [ends], atol=1e-5)


def test_a_log_of_different_pictures_is_drawn_as_it_was_recorded(tmp_path):
    scene = scene_of(log_of(picture("a"), picture("b", yaw_deg=90, size=(40, 100))))
    assert [one.view.picture.shape for one in scene.cameras] == [(90, 160, 3), (40, 100, 3)]
    scene.draw_cameras(tmp_path / "p.png")
    assert (tmp_path / "p.png").is_file()


# the command


def test_the_command_draws_the_cameras_and_counts_what_falls_into_each(command):
    told = command("view", SMALL, "--frame", 1, "--cameras", "--json").json
    assert told["picture"] == "000001.cameras.png"
    frame = pc.open_log(SMALL)[1]
    scene = Scene.of(frame, pictures=pictures_of_log(frame))
    assert told["cameras"] == [one.to_dict() for one in scene.cameras]
    front = told["cameras"][0]
    of_camera = ["camera", "number", "channel_order", "yaw_rad", "height", "width", "missing", "time_lag_s"]
    assert list(front) == [*of_camera, "points", "radar", "labels", "boxes"]
    assert (front["camera"], front["height"], front["width"], front["missing"]) == ("CAM_FRONT", 90, 160, None)
    assert front["time_lag_s"] == 0.05
    assert min(camera["points"] for camera in told["cameras"]) > 50
    rgb = pixels(Path("000001.cameras.png"))
    assert rgb.shape[1] > 1900
    assert count(rgb, LABEL_RGB) > 500


def test_a_models_pictures_are_drawn_by_its_spec(command):
    preset = "camera_images=crn_256x704"
    told = command("view", SMALL, "--cameras", "--params", preset, "--json", "--out", "p.png").json
    assert {(camera["height"], camera["width"]) for camera in told["cameras"]} == {(256, 704)}
    Path("s.json").write_text(
        '[{"name": "camera_projection", "dtype": "float32", "shape": ["K", 4, 4], "params": {"image": '
        '{"cameras": ["CAM_BACK"], "resize": [45, 80]}, "frame": "lidar"}}]'
    )
    told = command("view", SMALL, "--cameras", "--spec", "s.json", "--json", "--out", "p.png").json
    assert [(c["camera"], c["height"], c["width"]) for c in told["cameras"]] == [("CAM_BACK", 45, 80)]


def test_cameras_are_moved_as_the_models_matrices_have_them():
    frame = pc.open_log(SMALL)[1]
    asked = {"camera_images": "crn_256x704"}, {"image": {"preset": "crn_256x704"}}
    names = ["camera_images"], ["camera_images", "camera_projection"]
    moved, mounted = (Scene.of(frame, pictures=pictures_of_spec(*of)) for of in zip(names, asked, strict=True))
    for one, other in zip(moved.cameras, mounted.cameras, strict=True):
        np.testing.assert_array_equal(
            other.view.projector.ego_from_camera, frame.cameras[other.view.camera].ego_from_camera
        )
        away = one.view.projector.ego_from_camera[:3, 3] - other.view.projector.ego_from_camera[:3, 3]
        speed = np.linalg.norm(away) / max(abs(one.view.time_lag_s), 1e-6)
        assert 3 < speed < 20


def test_what_is_said_of_image_is_said_of_matrices(command):
    told = command("view", SMALL, "--cameras", "--params", "image=crn_256x704", "--json", "--out", "p.png").json
    frame = pc.open_log(SMALL)[0]
    rows = pictures_of_spec(["camera_images", "camera_projection"], {"image": {"preset": "crn_256x704"}})
    assert not rows[0].motion_compensated
    assert told["cameras"] == [one.to_dict() for one in Scene.of(frame, pictures=rows).cameras]


def test_a_spec_without_cameras_has_no_pictures(refusal):
    said = "the spec asks for nothing of cameras: there is no picture to draw"
    assert refusal("view", SMALL, "--cameras", "--spec", "lidar_points") == (2, said)


def test_params_without_pictures_or_a_spec_are_refused(refusal):
    wanted = "--params is for what a spec builds, or for the cameras' pictures: add --spec or --cameras"
    assert refusal("view", SMALL, "--params", "camera_images=caddn") == (2, wanted)


def test_a_range_of_cameras_is_refused(refusal):
    said = "--range is for the picture from above; leave it out, or --cameras"
    assert refusal("view", SMALL, "--cameras", "--range", 0, 0, 1, 1) == (2, said)


def test_a_log_without_cameras_is_refused():
    with pytest.raises(UsageError) as refused:
        pictures_of_log(log_of()[0])
    assert str(refused.value) == "memory: the log has no cameras; leave out --cameras"


def test_what_is_missing_is_said_in_its_place(tmp_path):
    broken = picture("broken", read=lambda: b"\xff\xd8 cut short", source="b.jpg")
    log = log_of(picture("front"), broken, picture("late", time_ns=95_000_000))
    log.on_error = "skip"
    (rows,) = pictures_of_spec(
        ["camera_images"],
        {"camera_images": {"image": {"cameras": ["front", "broken", "late", "none"]}, "required": True}},
    )
    scene = Scene.of(log[0], pictures=[rows])
    assert [one.view.missing for one in scene.cameras] == [
        "",
        "b.jpg: its picture is broken",
        "no picture within 60 ms; the nearest is 95.0 ms off",
        "the log has no such camera",
    ]
    assert [len(one.points) for one in scene.cameras] == [1, 0, 0, 0]
    scene.draw_cameras(tmp_path / "p.png")
    assert scene.cameras[2].to_dict()["missing"] == "no picture within 60 ms; the nearest is 95.0 ms off"


def test_a_file_that_is_missing_is_not_called_broken(tmp_path):
    def read():
        raise MissingRecord(f"{tmp_path}/gone.jpg: no such file; the picture is missing")

    gone = picture("gone", read=read, source=str(tmp_path / "gone.jpg"))
    other = picture("other", size=(900, 1600), source=str(tmp_path / "other.jpg"))
    other = replace(other, read=picture().read)
    log = log_of(picture("front"), gone, other)
    log.on_error = "skip"
    scene = scene_of(log)
    assert [one.view.missing for one in scene.cameras] == [
        "",
        "gone.jpg: the file is missing",
        "other.jpg: its picture or its calibration is broken",
    ]


def test_pictures_of_different_sizes_in_one_tensor_are_drawn_all_the_same(tmp_path):
    """A model is refused them; whoever looks at them wants to see why."""
    log = log_of(
        picture("a"), picture("late", time_ns=95_000_000), picture("b", yaw_deg=90, size=(40, 100)), picture("c")
    )
    names = ["a", "late", "nowhere", "b", "c"]
    params = {"image": {"cameras": names, "resize": 0.5}}
    with pytest.raises(SpecError, match="pictures of one tensor have different sizes"):
        pc.InputBuilder(["camera_images"], params=params).build(log[0])
    scene = Scene.of(log[0], pictures=pictures_of_spec(["camera_images"], params))
    views = [one.view for one in scene.cameras]
    assert [(view.number, view.camera) for view in views] == list(enumerate(names))
    assert [view.picture.shape[:2] for view in views if not view.missing] == [(45, 80), (20, 50), (45, 80)]
    assert [bool(view.missing) for view in views] == [False, True, True, False, False]
    scene.draw_cameras(tmp_path / "p.png")


def test_pictures_of_one_size_are_one_tensor():
    log = log_of(picture("a"), picture("b", yaw_deg=90, size=(40, 100)))
    fixed = pictures_of_spec(["camera_images"], {"image": {"resize": [20, 30]}})
    assert fixed[0].of_one_size(log[0]) == fixed
    (open_,) = pictures_of_spec(["camera_images"])
    assert open_.of_one_size(log_of(picture("a"), picture("b", yaw_deg=90))[0]) == [open_]


@pytest.mark.parametrize(
    ("yaw_deg", "words"),
    [
        (0, "ahead"),
        (0.4, "ahead"),
        (55, "55° left"),
        (-110.2, "110° right"),
        (179.8, "back"),
        (-180, "back"),
        (-179.4, "179° right"),
    ],
)
def test_the_title_says_where_a_camera_looks(yaw_deg, words):
    one = scene_of(log_of(picture("a", yaw_deg=yaw_deg))).cameras[0]
    assert title(one) == f"0 a, RGB, looks {words}\nat this time: {counted(len(one.points), 'point')}, 0 labels"


def test_the_title_says_the_place_and_the_colours_of_the_models_tensor():
    log = log_of(picture("a"), picture("b", yaw_deg=90), picture("late", time_ns=95_000_000))
    params = {"image": {"cameras": ["b", "late", "a"]}, "camera_images": {"channel_order": "BGR"}}
    scene = Scene.of(log[0], pictures=pictures_of_spec(["camera_images"], params))
    assert [title(one).partition("\n")[0] for one in scene.cameras] == [
        "0 b, BGR, looks 90° left",
        "1 late, BGR",
        "2 a, BGR, looks ahead",
    ]
    assert [scene.cameras[i].to_dict()["yaw_rad"] for i in range(3)] == [round(np.pi / 2, 6), None, 0]
    assert [title(one)[:4] for one in scene_of(log).cameras] == ["0 a,", "1 b,", "2 la"]


def test_what_several_builders_report_is_logged_once(code_package, caplog):
    """Each model has a builder, which reported again that there is no picture."""
    params = {"image": {"cameras": ["front", "late"]}}
    inputs = [{"name": "camera_valid", "dtype": "uint8", "shape": [2], "params": params}]
    source = DETECTOR.replace("ego_pose", "camera_valid")
    packages = [code_package(source, OUTPUTS, inputs=inputs, name=name) for name in ("one", "two")]
    log = log_of(picture("front"), picture("late", time_ns=95_000_000))
    for _ in range(2):
        caplog.clear()
        pictures = pictures_of_spec(["camera_images"], params)
        assert len(Scene.of(log[0], packages, True, pictures).boxes) == 2
        assert [record.getMessage().count("has no picture of 'late'") for record in caplog.records] == [1]


def test_the_window_shows_where_the_cameras_are():
    why = "open3d, or a system library that it needs, is not here; `make system-libs` installs those"
    pytest.importorskip("open3d", reason=why, exc_type=ImportError)
    scene = scene_of(log_of(picture("a"), picture("late", time_ns=95_000_000)))
    *_, camera = scene.geometries()
    assert len(scene.geometries()) == 3  # cloud, labels, the one camera that has a picture
    np.testing.assert_allclose(np.asarray(camera.points), scene.cameras[0].view.projector.frustum(2.0))


@pytest.mark.data
def test_real_pictures_are_drawn_with_their_points(command, real_data):
    told = command("view", real_data / "kitti_object", "--cameras", "--json", "--out", "p.png").json
    (camera,) = told["cameras"]
    # all 19097 points of the file fall into the picture; 26 of them on the outer half of its last pixels
    assert camera["points"] == 19071
    assert camera["labels"] == 15
    assert count(pixels(Path("p.png")), LABEL_RGB) > 1000
    folder = next((real_data / "aimotive/train/nighttime").iterdir())
    told = command("view", folder, "--cameras", "--json", "--out", "p.png").json
    counts = {camera["camera"]: (camera["points"], camera["labels"]) for camera in told["cameras"]}
    # a van beside the car, seen by a fisheye: without its lens one label was in its picture
    assert counts["M_FISHEYE_R"][0] > 60_000
    assert counts["M_FISHEYE_R"][1] == 8
    # one of its pictures is larger than the others: no model is given all in one tensor
    words = ("--cameras", "--params", 'image={"undistort":true}', "--json", "--out", "p.png")
    straight = command("view", folder, *words).json["cameras"]
    assert [(one["number"], one["camera"]) for one in straight] == list(enumerate(counts))
    assert len({(one["height"], one["width"]) for one in straight}) == 2
    told = command("view", real_data / "nuscenes/scene-0061", "--cameras", "--json", "--out", "p.png").json
    counts = {camera["camera"]: camera["points"] for camera in told["cameras"]}
    # the devkit counts 3053 and 4820 more than a pixel from the edge and a metre away
    assert 3053 <= counts["CAM_FRONT"] <= 3053 + 20
    assert 4820 <= counts["CAM_BACK"] <= 4820 + 20
