"""What a spec builds, drawn as it was built: each kind of tensor where it lies, whatever layout and flips did."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import perceptum as pc
from perceptum.builders import Augment, Draw, InputBuilder
from perceptum.features import canonical
from perceptum.view.built import BuiltScene
from perceptum.view.drawings import DRAWINGS, Kind, OnGround
from perceptum.view.drawings.birds_eye import blended, laid
from perceptum.view.drawings.boxes import boxes_of
from perceptum.view.drawings.heatmap import regressed
from perceptum.view.drawings.pixor import regressed_by_cells
from perceptum.view.panels import Panel, draw_panels

SMALL = "synthetic:frames=3,beams=16,azimuth_steps=300"
AUGMENT = Augment(rotate=(0.4, 0.4), flip_y=1.0, scale=(0.9, 0.9))
DRAW = Draw(0, 0, 5)


class Canvas:
    """Stands in for the ground, and keeps what is drawn."""

    def __init__(self) -> None:
        self.drawn: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str):  # type: ignore[no-untyped-def]
        return lambda *given, **style: self.drawn.append((name, given))

    def of(self, name: str) -> list[tuple[Any, ...]]:
        return [given for kind, given in self.drawn if kind == name]


@pytest.fixture(scope="module")
def frame():
    return pc.open_log(SMALL)[1]


def kind_of(frame, *names: str, params: dict[str, Any] | None = None, **more: Any) -> Kind:
    scene = BuiltScene.of(frame, names, params, training=True, **more)
    return scene.panels[0].kind


def drawn(kind: Kind) -> tuple[Canvas, str]:
    canvas, drawing = Canvas(), DRAWINGS[kind.group]
    assert isinstance(drawing, OnGround)
    return canvas, drawing.draw(canvas, kind)  # type: ignore[arg-type]


def test_every_group_of_our_own_is_drawn_but_matrices():
    groups = {group.name for group in canonical().groups}
    matrices = {"camera_intrinsics", "camera_extrinsics", "camera_projection", "camera_image_affine"}
    assert groups - DRAWINGS.keys() <= matrices
    assert DRAWINGS.keys() <= groups


def test_drawings_need_features_of_their_group():
    for name, drawing in DRAWINGS.items():
        assert {*drawing.needs, *drawing.also} <= {feature.name for feature in canonical().group(name)}


@pytest.mark.parametrize("layout", ["CYX", "CXY", "YXC", "XYC"])
@pytest.mark.parametrize(("flip_x", "flip_y"), [(False, True), (True, False)])
def test_layout_and_flips_are_undone(frame, layout, flip_x, flip_y):
    plain = kind_of(frame, "map_raster", params={"map_raster": {"cell": 2.0}})
    turned = {"cell": 2.0, "bev_layout": layout, "flip_x": flip_x, "flip_y": flip_y}
    other = kind_of(frame, "map_raster", params={"map_raster": turned})
    assert plain["map_raster"].any()
    assert np.array_equal(laid(other["map_raster"], other.params), plain["map_raster"])


@pytest.mark.parametrize("layout", ["TZ", "ZT"])
def test_an_axis_of_time_is_taken_for_channels(frame, layout):
    merged = kind_of(frame, "lidar_bev_temporal", params={"lidar_bev_temporal": {"layout": layout}})
    given = {"layout": layout, "time_axis": "own", "bev_layout": "XYC"}
    own = kind_of(frame, "lidar_bev_temporal", params={"lidar_bev_temporal": given})
    assert own["lidar_bev_temporal"].ndim == 4
    assert np.array_equal(
        laid(own["lidar_bev_temporal"], own.params), laid(merged["lidar_bev_temporal"], merged.params)
    )


def test_layers_are_drawn_where_they_are_in_their_colours(frame):
    given = {"cell": 2.0, "layers": ["walkway"], "values": "-1/+1", "range": [-40, -50, 50, 50]}
    row = {"name": "map_raster", "dtype": "float32", "shape": [1, 50, 45], "params": {**given}}
    kind = BuiltScene.of(frame, [row]).panels[0].kind
    canvas, _ = drawn(kind)
    ((colours, reach),) = canvas.of("cells")
    assert reach == (-40, -50, 50, 50)
    assert np.array_equal((colours < 1).any(axis=-1), kind["map_raster"][0] > 0)


def test_translucent_layers_show_what_is_below():
    one = np.array([[[1, 1, 0]], [[0, 1, 0]]])
    only, both, none = blended(one, ["#ff0000", "#0000ff"])[0]
    assert none.tolist() == [1, 1, 1]
    assert only[0] == 1
    assert both[2] > both[1]
    assert both[0] > both[1]


@pytest.mark.parametrize("elements", ["points", "vectors"])
def test_polylines_are_drawn_from_their_rows(frame, elements):
    kind = kind_of(frame, "map_polylines", params={"map_polylines": {"elements": elements}})
    canvas, said = drawn(kind)
    real = kind["map_polyline_mask"].any(axis=1)
    lines = [line for given in canvas.of("lines") for line in given[0]]
    assert len(lines) == np.count_nonzero(real)
    assert said.startswith(f"{len(lines)} polylines")
    ends = {tuple(line[-1]) for line in lines}
    assert ends == {
        tuple(row[mask.astype(bool)][-1, :2])
        for row, mask in zip(kind["map_polylines"][real], kind["map_polyline_mask"][real], strict=True)
    }


def test_polylines_without_places_are_not_drawn_and_said_so(frame, tmp_path):
    scene = BuiltScene.of(frame, ["map_polylines"], {"map_polylines": {"columns": ["dx", "dy"]}})
    said = scene.save(tmp_path / "a.png")
    assert said["not_drawn"] == {"map_polylines": "its columns, dx dy, have no x and y"}
    assert said["panels"] == []


def test_edges_of_the_lane_graph_lead_from_node_to_node(frame):
    kind = kind_of(frame, "lane_ctrs", "lane_edges_suc_0", "lane_edges_suc_1")
    canvas, said = drawn(kind)
    lines = [np.asarray(given[0]) for given in canvas.of("lines") if len(given[0])]
    wanted = kind["lane_ctrs"][kind["lane_edges_suc_0"].T]
    assert any(line.shape == wanted.shape and np.array_equal(line, wanted) for line in lines)
    assert f"{len(kind['lane_ctrs'])} nodes" in said
    chords = kind["lane_ctrs"][kind["lane_edges_suc_1"].T]
    assert not any(line.shape == chords.shape and np.array_equal(line, chords) for line in lines)
    assert f"suc 0 {len(wanted)}" in said
    assert said.endswith("farther hops not drawn")


def test_a_long_title_is_cut_to_its_panel():
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from perceptum.view.titles import fitted

    figure = Figure()
    FigureCanvasAgg(figure)
    cut = fitted(figure, "argoverse2 0a1e6f0a-1817-4a98-b02e-db8c9327d151, frame 3\nshort", 150, 9).split("\n")
    assert "…" in cut[0]
    assert (cut[0][:10], cut[0][-7:]) == ("argoverse2", "frame 3")
    assert cut[1] == "short"


@pytest.mark.parametrize("more", [{}, {"direction": "past_from_ref"}, {"oldest_first": True}])
def test_the_past_path_ends_at_the_origin(frame, more):
    last = frame.log[2]
    kind = kind_of(last, "ego_motion", params={"ego_motion": {"num_past": 3, **more}})
    canvas, said = drawn(kind)
    ((path,),) = (given[0] for given in canvas.of("lines"))
    ego_from_world = np.linalg.inv(last.world_from_ego)
    wanted = [(ego_from_world @ frame.log[i].world_from_ego)[:2, 3] for i in range(3)]
    assert np.allclose(path, wanted, atol=1e-4)
    assert said.startswith("2 of 3 moments known")


@pytest.mark.parametrize(
    "columns",
    [
        ["x", "y", "z", "length", "width", "height", "yaw"],
        ["z", "y", "x", "sin_yaw", "cos_yaw", "width", "height", "length"],
    ],
)
@pytest.mark.parametrize(("heading", "centre"), [("from_x", "geometric"), ("mmdet3d_0", "bottom")])
def test_boxes_are_those_of_the_tensor_however_they_are_written(frame, columns, heading, centre):
    given = {"columns": columns, "heading": heading, "centre": centre, "label_base": 1}
    boxes, labels = boxes_of(kind_of(frame, "gt_boxes", params={"gt_boxes": given}))
    plain, of_plain = boxes_of(kind_of(frame, "gt_boxes"))
    turned = (boxes - plain)[:, 6]
    assert np.allclose(boxes[:, :6], plain[:, :6], atol=1e-5)
    assert np.allclose(np.cos(turned), 1, atol=1e-5)
    assert np.array_equal(labels, of_plain)


def test_rows_that_a_spec_pads_are_not_drawn(frame):
    row = {"name": "gt_boxes", "dtype": "float32", "shape": [500, 9]}
    boxes, _ = boxes_of(BuiltScene.of(frame, [row], training=True).panels[0].kind)
    assert len(boxes) == len(frame.labels.boxes)


@pytest.mark.parametrize("layout", ["CYX", "CXY"])
def test_what_a_heatmap_regresses_lies_where_the_boxes_are(frame, layout):
    params = {"gt_heatmap": {"bev_layout": layout}}
    scene = BuiltScene.of(frame, ["gt_heatmap", "gt_boxes"], params, training=True, augment=AUGMENT, draw=DRAW)
    heatmap, boxes = (panel.kind for panel in scene.panels)
    centres, outlines = regressed(heatmap)
    places = boxes_of(boxes)[0]
    apart = np.linalg.norm(centres[:, None] - places[None, :, :2], axis=2)
    assert len(centres)
    assert apart.min(axis=1).max() < 1e-3
    nearest = places[apart.argmin(axis=1)]
    assert np.allclose(outlines[:, 3:5], nearest[:, 3:5], atol=1e-3)


def test_what_pixors_cells_regress_are_the_boxes(frame):
    names = ["gt_pixor_cls", "gt_boxes"]
    scene = BuiltScene.of(frame, names, training=True, augment=Augment(rotate=(0.4, 0.4), flip_y=1.0), draw=DRAW)
    pixor, boxes = (panel.kind for panel in scene.panels)
    found, places = regressed_by_cells(pixor), boxes_of(boxes)[0]
    apart = np.linalg.norm(found[:, None, :2] - places[None, :, :2], axis=2)
    nearest = places[apart.argmin(axis=1)]
    assert len(found)
    assert apart.min(axis=1).max() < 1e-3
    assert np.allclose(found[:, 3:5], nearest[:, 3:5], atol=1e-3)
    assert np.allclose(np.cos(found[:, 6] - nearest[:, 6]), 1, atol=1e-5)


def test_trajectories_begin_where_the_agents_are(frame):
    for columns in (["x", "y"], ["x_from_now", "y_from_now"]):
        kind = kind_of(frame, "gt_trajectory", params={"gt_trajectory": {"columns": columns, "num_future": 1}})
        canvas, _ = drawn(kind)
        steps = np.concatenate([np.asarray(given[0]) for given in canvas.of("lines")[-2:] if len(given[0])])
        assert np.linalg.norm(steps[:, 1] - steps[:, 0], axis=1).max() < 3


def test_things_are_drawn_as_the_draw_has_them(frame):
    kind = kind_of(frame, "gt_boxes", augment=AUGMENT, draw=DRAW)
    built = InputBuilder(["gt_boxes", "lidar_points"], training=True, augment=AUGMENT).build(frame, draw=DRAW)
    assert np.array_equal(kind["gt_boxes"], built["gt_boxes"])
    assert np.array_equal(kind.behind["lidar_points"]["lidar_points"], built["lidar_points"][:, :3])


def test_points_fall_into_the_pictures_by_the_same_draw(frame, tmp_path):
    given = {"image": {"cameras": ["CAM_FRONT"], "resize": 0.25}}
    kind = kind_of(frame, "camera_images", "gt_boxes", params=given, augment=AUGMENT, draw=DRAW)
    assert kind.behind.keys() == {"camera_projection", "lidar_points", "gt_boxes"}
    still = kind_of(frame, "camera_images", "gt_boxes", params=given)
    one, other = (DRAWINGS["camera_images"].pictures(one)[0] for one in (kind, still))  # type: ignore[union-attr]
    # places and matrices change alike: what is seen in a picture stays where it is
    assert len(one.points) == len(other.points) > 100
    assert np.allclose(np.sort(one.points[:, 0]), np.sort(other.points[:, 0]), atol=0.05)


def test_what_has_no_drawing_is_named(frame, tmp_path):
    said = BuiltScene.of(frame, ["camera_intrinsics", "map_valid"]).save(tmp_path / "a.png")
    assert said["not_drawn"] == {"camera_intrinsics": "there is no drawing of it"}
    assert [panel["shows"] for panel in said["panels"]] == ["the log has a map"]


def test_nodes_that_are_cut_are_drawn_without_edges(frame):
    row = {"name": "lane_ctrs", "dtype": "float32", "shape": [8, 2]}
    kind = BuiltScene.of(frame, [row]).panels[0].kind
    assert drawn(kind)[1] == "8 nodes"


def test_what_needs_more_than_a_spec_allows_is_named(frame, tmp_path):
    whole = BuiltScene.of(frame, ["map_lane_direction"])
    kind = whole.panels[0].kind
    cut = Kind(kind.group, "", kind.params, kind.asked, {"map_lane_direction": kind["map_lane_direction"]})
    _, failed = draw_panels([Panel(cut, DRAWINGS[cut.group])], tmp_path / "a.png", "")
    assert failed["map_lane_direction"].startswith("that needs map_lane_direction_mask too")


def test_the_command_draws_a_spec_into_one_picture(command, tmp_path):
    words = ["--spec", "map_raster,gt_boxes,camera_intrinsics", "--training", "--params", 'map_raster={"cell": 2.0}']
    words += ["--augment", '{"rotate": 0.5}', "--draw", "0,0,5"]
    done = command("view", SMALL, "--frame", "1", *words, "--json")
    said = done.json
    assert said["picture"] == "000001.spec.png"
    assert (tmp_path / "000001.spec.png").stat().st_size > 10_000
    assert [(one["kind"], one["tensors"], one["frame"]) for one in said["panels"]] == [
        ("map_raster", ["map_raster"], "ego"),
        ("gt_boxes", ["gt_boxes"], "ego"),
    ]
    shown = command("view", SMALL, *words, "--out", "a.png").out
    assert "picture: a.png" in shown
    assert "not drawn: camera_intrinsics: there is no drawing of it" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--spec", "gt_boxes"], "is a target"),
        (["--training"], "--training is for what a spec builds: add --spec"),
        (["--augment", "{}", "--draw", "0,0,0"], "--augment is for what a spec builds: add --spec"),
        (["--spec", "map_raster", "--viewer", "open3d"], "--viewer is for a frame as it is; leave it out, or --spec"),
        (["--spec", "map_raster", "--out", "a.jpg"], "pictures are PNG files"),
    ],
)
def test_what_cannot_be_drawn_is_bad_use(refusal, words, message):
    status, said = refusal("view", SMALL, *words)
    assert status == 2
    assert message in said


@pytest.mark.data
def test_real_maps_and_agents_are_drawn(real_data, tmp_path):
    folder = real_data / "argoverse2" / "forecasting_scenarios"
    log = pc.open_log(next(folder.iterdir()))
    names = ["map_raster", "map_polylines", "lane_ctrs", "agent_history", "gt_trajectory", "agent_raster"]
    said = BuiltScene.of(log[49], names, training=True).save(tmp_path / "a.png")
    assert [panel["kind"] for panel in said["panels"]][:2] == ["map_raster", "map_polylines"]
    assert said["not_drawn"] == {}
