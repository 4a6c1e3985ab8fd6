"""A frame to look at: the corners are where they belong, the picture shows what is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import perceptum as pc
from perceptum.datasets import memory_log
from perceptum.errors import UsageError
from perceptum.inputs import HDMap, Labels, LidarSweep, Shapes
from perceptum.inputs.poses import quaternion_from_yaw, rotation_from_quaternion
from perceptum.view import Scene, box_corners, predicted_boxes

SMALL = "synthetic:frames=2,beams=16,azimuth_steps=300"
LABEL_RGB, FIRST_RGB, SECOND_RGB = (0x2A, 0x9D, 0x4A), (0xE4, 0x57, 0x2E), (0x2E, 0x86, 0xAB)
MAP_RGB = (0xC9, 0xD6, 0xE3)
OUTPUTS = [
    {"name": "boxes", "dtype": "float32", "shape": ["n", 7]},
    {"name": "scores", "dtype": "float32", "shape": ["n"]},
]
# one box that it is sure of, one that it is not
SOURCE = """
def model(ego_pose):
    boxes = np.array([[20, 10, 1, 4, 2, 1.5, 0.5], [-20, 10, 1, 4, 2, 1.5, 0]], np.float32)
    return {"boxes": boxes, "scores": np.array([0.9, 0.2], np.float32)}
"""
sizes = st.floats(0.1, 20)
places = st.floats(-100, 100)


@given(st.tuples(places, places, places, sizes, sizes, sizes, st.floats(-7, 7)))
def test_corners_are_turned_halves(box):
    (corners,) = box_corners(np.array([box]))
    turned = rotation_from_quaternion(quaternion_from_yaw(box[6]))
    halves = (corners - box[:3]) @ turned / np.array(box[3:6])
    signs = [[1, 1], [-1, 1], [-1, -1], [1, -1]]
    wanted = np.array([[a / 2, b / 2, c] for c in (-0.5, 0.5) for a, b in signs])
    np.testing.assert_allclose(halves, wanted, atol=1e-9 * 100 / min(box[3:6]))


@given(st.floats(-4, 4))
def test_the_first_corners_are_the_front_ones(yaw):
    corners = box_corners(np.array([[3.0, 4, 0, 4, 2, 1, yaw]]))[0]
    front = corners[[0, 3]].mean(axis=0)
    np.testing.assert_allclose(front[:2], [3 + 2 * np.cos(yaw), 4 + 2 * np.sin(yaw)], atol=1e-12)


def test_no_boxes_have_no_corners():
    assert box_corners(np.zeros((0, 7))).shape == (0, 8, 3)


def log_of(labels=None, x=(5.0,), y=(0.0,)):
    columns = [np.array(values, np.float32) for values in (x, y, [0.5] * len(x))]
    sweep = LidarSweep("TOP", 0, np.eye(4), *columns)
    return memory_log([sweep], labels=[] if labels is None else [labels])


def labels_of(*boxes):
    names = np.array(["car"] * len(boxes)), np.array([str(i) for i in range(len(boxes))])
    return Labels(0, np.reshape(np.array(boxes, float), (-1, 7)), *names)


def pixels(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as png:
        assert png.format == "PNG"
        return np.asarray(png.convert("RGB")).astype(int)


def marked(rgb: np.ndarray, color: tuple[int, int, int], legend_from_m: float = 30) -> np.ndarray:
    """Where the picture has a color: (n, 2) x y in metres, in the part under which no legend lies."""
    rows, columns = np.nonzero(np.abs(rgb - color).max(axis=2) < 30)
    height, width = rgb.shape[:2]
    # the axes lie 0.06 to 0.98 of the width and 0.05 to 0.95 of the height, squeezed to a square of 90 m
    side = min(0.92 * width, 0.9 * height)
    y = 45 - (columns - (0.06 + 0.46) * width + side / 2) / side * 90
    x = 45 - (rows - 0.5 * height + side / 2) / side * 90
    return np.stack([x, y], axis=1)[(x < legend_from_m) & (x > -45)]


def test_a_label_is_drawn_where_it_is_and_shows_its_heading(tmp_path):
    Scene.of(log_of(labels_of([10, 20, 0, 8, 4, 2, 0]))[0]).draw(tmp_path / "p.png")
    seen = marked(pixels(tmp_path / "p.png"), LABEL_RGB)
    np.testing.assert_allclose([seen.min(axis=0), seen.max(axis=0)], [[6, 18], [14, 22]], atol=0.4)
    # along the middle there is a line from the front to the centre, and none behind
    middle = seen[np.abs(seen[:, 1] - 20) < 0.2][:, 0]
    assert ((middle > 11) & (middle < 13)).any()
    assert not ((middle > 7) & (middle < 9)).any()


def test_points_are_drawn_where_they_are(tmp_path):
    x, y = np.full(400, -30.0), np.linspace(-20, -10, 400)
    Scene.of(log_of(x=x, y=y)[0]).draw(tmp_path / "p.png")
    rgb = pixels(tmp_path / "p.png")
    dark = marked(np.where(rgb.max(axis=2, keepdims=True) < 215, 0, 255).repeat(3, axis=2), (0, 0, 0))
    inside = dark[(np.abs(dark) < 40).all(axis=1) & (np.abs(dark).max(axis=1) > 3)]
    np.testing.assert_allclose([inside.min(axis=0), inside.max(axis=0)], [[-30, -20], [-30, -10]], atol=0.4)


@pytest.mark.parametrize("labels", [None, labels_of(), labels_of([np.nan, 0, 0, 4, 2, 1, 0], [500, 0, 0, 4, 2, 1, 0])])
def test_nothing_to_draw_is_a_picture_without_it(tmp_path, labels):
    Scene.of(log_of(labels, x=(), y=())[0]).draw(tmp_path / "p.png")
    rgb = pixels(tmp_path / "p.png")
    assert rgb.shape == (1100, 1100, 3)
    assert len(marked(rgb, LABEL_RGB)) == 0


def test_the_ground_that_is_shown_can_be_chosen(tmp_path, command):
    far = labels_of([130, -20, 0, 8, 4, 2, 0], [-30, 0, 0, 8, 4, 2, 0])
    Scene.of(log_of(far)[0]).draw(tmp_path / "p.png", range_m=(90, -60, 180, 30))
    # the same square of 90 m, 135 m further on and 15 m to the right; what is behind is not drawn
    seen = marked(pixels(tmp_path / "p.png"), LABEL_RGB)
    np.testing.assert_allclose([seen.min(axis=0), seen.max(axis=0)], [[-9, -7], [-1, -3]], atol=0.4)
    assert command("view", SMALL, "--range", -10, -20, 30.5, 20, "--out", "p.png").status == 0


def test_the_map_reaches_into_the_corners_however_the_car_is_turned(tmp_path):
    from perceptum.picture import Picture

    # in a corner, 57 m away: of a car that drives north-west that is 57 m to the north of it
    world_from_ego = np.eye(4)
    world_from_ego[:3, :3] = rotation_from_quaternion(quaternion_from_yaw(np.pi / 4))
    line = np.array([[40.0, 40, 0], [40, 43, 0]]) @ world_from_ego[:3, :3].T
    picture = Picture()
    picture.map(HDMap({"lines": Shapes.of("line", {"a": line})}), world_from_ego)
    picture.save(tmp_path / "p.png")
    assert len(marked(pixels(tmp_path / "p.png"), MAP_RGB, legend_from_m=45)) > 20


@pytest.mark.parametrize("sides", [(10, 0, -10, 5), (0, 5, 10, 5), (0, 0, "nan", 1), (0, 0, 1, "inf")])
def test_a_range_that_is_none_is_refused(refusal, sides):
    status, said = refusal("view", SMALL, "--range", *sides)
    assert status == 2
    told = " ".join(map(str, sides))
    assert said == f"--range must be x_min y_min x_max y_max in metres, like -20 -40 100 40, got {told}"


def test_a_range_of_a_window_is_refused(refusal):
    said = "--range is for the picture from above; the open3d window is moved by hand"
    assert refusal("view", SMALL, "--range", 0, 0, 1, 1, "--viewer", "open3d") == (2, said)


def scene_of(xy) -> Scene:
    x, y = np.asarray(xy, np.float32).reshape(-1, 2).T
    sweep = LidarSweep("lidar", 0, np.eye(4), x, y, np.zeros_like(x))
    return Scene.of(memory_log([sweep])[0])


AHEAD = np.stack(np.meshgrid(np.linspace(5, 78, 40), np.linspace(-40, 40, 40)), -1)


@pytest.mark.parametrize(
    ("turn", "shift", "ground"),
    [
        # KITTI's points are those that its camera sees
        (0, (0, 0), (-5, -45, 85, 45)),
        (np.pi, (0, 0), (-85, -45, 5, 45)),
        (np.pi / 2, (0, 0), (-45, -5, 45, 85)),
        (-np.pi / 2, (0, 0), (-45, -85, 45, 5)),
        # all round, perhaps a little more on one side
        (0, (-40, 0), (-45, -45, 45, 45)),
        (0, (-38, 0), (-45, -45, 45, 45)),
    ],
)
def test_the_ground_is_where_the_points_are(turn, shift, ground):
    cos, sin = np.cos(turn), np.sin(turn)
    scene = scene_of((AHEAD + shift) @ [[cos, sin], [-sin, cos]])
    assert scene.ground == ground


def test_without_points_the_ground_is_round_the_vehicle():
    assert scene_of([]).ground == (-45, -45, 45, 45)


def test_what_is_drawn_is_told_as_json(command, code_package):
    package = code_package(SOURCE, OUTPUTS)
    words = ("view", SMALL, "--frame", "000001", "--model", package, "--trust", "--out", "p.png", "--json")
    told = command(*words).json
    scene = Scene.of(pc.open_log(SMALL)[1])
    assert told == {
        "picture": "p.png",
        "frame": 1,
        "frame_id": "000001",
        "time_ns": scene.frame.time_ns,
        "range_m": [-45, -45, 45, 45],
        "points": len(scene.points),
        "labels": len(scene.frame.labels),
        "boxes": {"made of code": [[20, 10, 1, 4, 2, 1.5, 0.5]]},
    }
    assert Path("p.png").is_file()
    assert command("view", SMALL, "--range", 0, -5, 10, 5, "--json").json["range_m"] == [0, -5, 10, 5]


def test_a_picture_is_named_after_its_frame_whatever_that_is_called(command, monkeypatch):
    from perceptum.datasets.synthetic import SyntheticSource

    monkeypatch.setattr(SyntheticSource, "ids", ["a/b", "000134"])
    assert command("view", SMALL).out == "picture: a%2Fb.png\n"
    assert command("view", SMALL, "--frame", -1).out == "picture: 000134.png\n"
    assert sorted(p.name for p in Path().iterdir()) == ["000134.png", "a%2Fb.png"]


def test_a_model_is_drawn_as_far_as_it_is_sure(command, code_package):
    package = code_package(SOURCE, OUTPUTS)
    done = command("view", SMALL, "--frame", 1, "--model", package, "--trust", "--out", "p.png")
    assert (done.status, done.out, done.err) == (0, "picture: p.png\n", "")
    assert [p.name for p in Path().iterdir()] == ["p.png"]
    seen = marked(pixels(Path("p.png")), FIRST_RGB)
    np.testing.assert_allclose(seen.mean(axis=0), [20, 10], atol=1)


def test_two_models_of_one_name_are_both_kept(code_package):
    first, second = (code_package(SOURCE, OUTPUTS, name="detector") for _ in range(2))
    scene = Scene.of(pc.open_log(SMALL)[0], [first, second], trust=True)
    assert list(scene.boxes) == ["detector", f"detector ({second})"]
    assert [len(boxes) for boxes in scene.boxes.values()] == [1, 1]


def test_code_is_not_run_untrusted(code_package):
    with pytest.raises(pc.neuropod.NeuropodError, match="this package is code"):
        Scene.of(pc.open_log(SMALL)[0], [code_package(SOURCE, OUTPUTS)])


def test_a_frame_without_lidar_is_a_picture_without_points(tmp_path):
    log = memory_log(labels=[labels_of([10, 20, 0, 8, 4, 2, 0])], times_ns=[0])
    scene = Scene.of(log[0])
    assert scene.points.shape == (0, 3)
    scene.draw(tmp_path / "p.png")
    assert len(marked(pixels(tmp_path / "p.png"), LABEL_RGB)) > 50


def turned_log():
    """One sweep of a lidar that is mounted as nuScenes' is: its x to the right of the car, its y ahead."""
    ego_from_lidar = np.array([[0.0, 1, 0, 0.9], [-1, 0, 0, 0], [0, 0, 1, 1.8], [0, 0, 0, 1]])
    # 20 m ahead and 10 m to the left
    sweep = LidarSweep("TOP", 0, ego_from_lidar, *(np.array([v], np.float32) for v in (-10, 19.1, -0.8)))
    return memory_log([sweep], labels=[labels_of([20, 10, 1, 4, 2, 1.5, 0.5])])


# a box at the point, whatever axes it is told in, turned as the label is when those are the lidar's
AT_THE_POINT = """
def model(**inputs):
    (points,) = inputs.values()
    box = np.array([[*points[0, :3], 4, 2, 1.5, 0.5 + np.pi / 2]], np.float32)
    return {"boxes": box, "scores": np.array([0.9], np.float32)}
"""


def points_row(frame, name="lidar_points"):
    params = {"columns": ["x", "y", "z"], "frame": frame}
    return {"name": name, "dtype": "float32", "shape": [name, 3], "params": params}


def framed(word):
    return [{**OUTPUTS[0], "frame": word}, OUTPUTS[1]]


@pytest.mark.parametrize("outputs", [OUTPUTS, framed("lidar")], ids=["as the inputs", "as it says"])
def test_boxes_in_the_lidars_axes_are_drawn_where_they_are(code_package, outputs, tmp_path):
    package = code_package(AT_THE_POINT, outputs, inputs=[points_row("lidar")])
    scene = Scene.of(turned_log()[0], [package], trust=True)
    np.testing.assert_allclose(scene.boxes["made of code"], [[20, 10, 1, 4, 2, 1.5, 0.5]], atol=1e-6)
    scene.draw(tmp_path / "p.png")
    np.testing.assert_allclose(marked(pixels(tmp_path / "p.png"), FIRST_RGB).mean(axis=0), [20, 10], atol=1)


def test_boxes_in_the_ego_frame_stay_where_they_are(code_package):
    frame = turned_log()[0]
    for inputs, outputs in (([points_row("ego")], OUTPUTS), ([points_row("ego")], framed("ego"))):
        package = code_package(AT_THE_POINT, outputs, inputs=inputs)
        np.testing.assert_allclose(Scene.of(frame, [package], trust=True).boxes["made of code"][0, :3], [20, 10, 1])


def test_a_model_may_answer_in_other_axes_than_it_is_asked_in(code_package):
    # it takes the ego frame's numbers for the lidar's
    package = code_package(AT_THE_POINT, framed("lidar"), inputs=[points_row("ego")])
    np.testing.assert_allclose(
        Scene.of(turned_log()[0], [package], trust=True).boxes["made of code"][0, :3], [10.9, -20, 2.8], atol=1e-6
    )


def test_boxes_of_unknown_axes_are_not_drawn(code_package):
    inputs = [points_row("lidar"), points_row("ego", "lidar_points__b")]
    package = code_package("def model(**inputs): raise AssertionError", OUTPUTS, inputs=inputs)
    with pytest.raises(UsageError) as refused:
        Scene.of(turned_log()[0], [package], trust=True)
    assert str(refused.value) == (
        "model 'made of code': the frame of reference of the output 'boxes' is not known, and its inputs do not say: "
        "'lidar_points' is in the primary lidar's axes at the reference time, 'lidar_points__b' is in the vehicle's "
        'axes at the reference time; write "frame": "ego" or "lidar" into its row'
    )


def test_labels_in_the_lidars_axes_are_drawn_where_they_are(tmp_path):
    log = turned_log()
    turned = memory_log([log[0].lidar], labels=[log[0].labels.in_frame("lidar")])
    for name, frame in (("a.png", log[0]), ("b.png", turned[0])):
        Scene.of(frame).draw(tmp_path / name)
        np.testing.assert_allclose(marked(pixels(tmp_path / name), LABEL_RGB).mean(axis=0), [20, 10], atol=1)


class Counter:
    """Gives a number, and so is not a detector."""

    name = "counter"
    inputs = ("ego_pose",)
    outputs = ({"name": "boxes", "dtype": "int64", "shape": []}, {"name": "n", "dtype": "int64", "shape": []})

    def infer(self, tensors):
        pytest.fail("it is refused before it runs")


def test_a_model_that_is_no_detector_is_refused():
    with pytest.raises(UsageError) as refused:
        predicted_boxes(Counter(), pc.open_log(SMALL)[0])
    assert str(refused.value) == "model 'counter' is not a detector: it gives boxes, n, not scores"


def test_the_scene_in_3d_has_a_cloud_and_lines_per_source_of_boxes(code_package):
    # where it is installed without the system libraries that it loads, that is an ImportError too
    why = "open3d, or a system library that it needs, is not here; `make system-libs` installs those"
    open3d = pytest.importorskip("open3d", reason=why, exc_type=ImportError)
    scene = Scene.of(pc.open_log(SMALL)[0], [code_package(SOURCE, OUTPUTS)], trust=True)
    cloud, labels, model = scene.geometries()
    assert isinstance(cloud, open3d.geometry.PointCloud)
    np.testing.assert_allclose(np.asarray(cloud.points), scene.points, rtol=1e-6)
    for lines, boxes in ((labels, scene.frame.labels.boxes), (model, scene.boxes["made of code"])):
        np.testing.assert_allclose(np.asarray(lines.points), box_corners(boxes).reshape(-1, 3))
        edges = np.asarray(lines.lines)
        assert len(edges) == 12 * len(boxes)
        # every edge is as long as its box is long, wide or high
        length = np.linalg.norm(np.asarray(lines.points)[edges[:, 0]] - np.asarray(lines.points)[edges[:, 1]], axis=1)
        sides = np.sort(np.repeat(boxes[:, 3:6], 4, axis=1), axis=1)
        np.testing.assert_allclose(np.sort(length.reshape(-1, 12), axis=1), sides, rtol=1e-5)


def test_the_lines_of_boxes_are_their_twelve_edges():
    from perceptum.view.boxes import EDGES

    corners = box_corners(np.array([[0, 0, 0, 5.0, 3, 2, 0.3]]))[0]
    lengths = sorted(round(float(np.linalg.norm(corners[a] - corners[b])), 9) for a, b in EDGES)
    assert lengths == [2.0] * 4 + [3.0] * 4 + [5.0] * 4


@pytest.mark.data
def test_real_frames_are_drawn(command, real_data):
    for name in ("kitti_object", "argoverse2/sensor/val"):
        folder = real_data / name
        log = folder if name == "kitti_object" else next(p for p in folder.iterdir() if p.is_dir())
        assert command("view", log, "--out", "p.png").status == 0
        assert len(marked(pixels(Path("p.png")), LABEL_RGB)) > 300
