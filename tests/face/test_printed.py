"""What a person prints says what it is, on a line, without an address, and without reading a record."""

from __future__ import annotations

import functools
import re

import numpy as np
import pytest

import perceptum as pc
from perceptum.builders import Draw, Sample, Written
from perceptum.datasets import memory_log
from perceptum.features import Feature
from perceptum.inputs import CameraImage, HDMap, LaneGraph, RadarSweep, Shapes
from perceptum.inputs.poses import Poses

MOST_LETTERS = 500
MOST_LINES = 150
TABLES = {"explanation", "catalogue"}
"""Those that are printed as tables."""


def stub(*_):
    raise AssertionError("a record was read")


@functools.cache
def frame():
    log = pc.open_log("synthetic", frames=3, seed=0, beams=8, azimuth_steps=90, image_size=(80, 48))
    return log[1]


@functools.cache
def built():
    builder = pc.InputBuilder(["lidar_points", "lidar_num_points", "ego_pose"])
    return builder, builder.build(frame())


def records(name):
    """Those of the frame that are read to be printed: that they were is not a fault of printing."""
    f = frame()
    return {
        "lidar": lambda: f.lidar,
        "radar": lambda: f.radars["RADAR_FRONT"],
        "camera": lambda: f.cameras["CAM_FRONT"],
        "labels": lambda: f.labels,
        "map": lambda: f.map,
        "layers": lambda: f.map.layers,
        "layer": lambda: f.map.layers["lane"],
        "lanes": lambda: f.map.lanes,
        "ground": lambda: f.map.ground,
    }[name]()


def of_builder(name):
    builder, tensors = built()
    lane, row = builder._lanes[0], builder.plan.rows[""][0]
    return {
        "builder": builder,
        "plan": builder.plan,
        "options": builder.plan.options,
        "layouts": builder.plan.layouts,
        "pool": builder.pool,
        "tensors": tensors,
        "explanation": builder.explain(),
        "lane": lane,
        "stage": lane.stages[1],
        "filler": lane.stages[2],
        "points": lane.stages[1].points,
        "written": Written(),
        "draw": Draw(0, 1, 2),
        "sample": Sample(frame()),
        "schema": builder.schema,
        "group": row.group,
        "params": row.params,
        "feature": row.feature,
        "spec": builder.spec,
        "row": row.row,
        "grid": builder.schema.group("lidar_voxels").params.grid,
        "preset": builder.schema.presets("lidar_voxels")["pointpillars_kitti"],
        "catalogue": pc.features(),
    }[name]


SAID = {
    "log": "<Log synthetic street-0: 3 frames>",
    "source": "<synthetic street-0>",
    "frame": r"<Frame 1 \(000001\) of street-0 at 1700000000323456789 ns>",
    "cameras": "<6 cameras: CAM_FRONT, CAM_FRONT_LEFT, CAM_FRONT_RIGHT, CAM_BACK, CAM_BACK_LEFT, CAM_BACK_RIGHT>",
    "radars": "<5 radars: RADAR_FRONT, RADAR_FRONT_LEFT, RADAR_FRONT_RIGHT, RADAR_BACK_LEFT, RADAR_BACK_RIGHT>",
    "sync": r"<Sync: CAM_FRONT -50\.0 ms, CAM_FRONT_LEFT \+34\.7 ms, .*>",
    "poses": r"<Poses: \d+ from \d+ to \d+ ns>",
    "cache": r"<Cache \d+ things, \d+ of \d+ bytes>",
    "lidar": r"<LidarSweep LIDAR_TOP at \d+ ns: \d+ points of x y z intensity ring offset_ns>",
    "radar": r"<RadarSweep RADAR_FRONT at \d+ ns: \d+ detections of x y z vx vy .*>",
    "camera": r"<CameraImage CAM_FRONT at \d+ ns: undistorted>",
    "labels": r"<Labels at \d+ ns: \d+ boxes: \d+ car, \d+ pedestrian, .*>",
    "map": r"<HDMap: 7 drivable_area, .*; 42 lanes; ground height>",
    "layers": r"{'drivable_area': <Shapes: 7 polygons of 364 points>, .*}",
    "layer": "<Shapes: 42 polygons of 2184 points>",
    "lanes": r"<LaneGraph: 42 lanes, \d+ successors>",
    "ground": r"<GroundGrid: \d+ x \d+ cells of 0\.3 m>",
    "builder": r"<InputBuilder 3 tensors, schema canonical .*>",
    "plan": r"<Plan lidar_points, lidar_num_points, ego_pose; schema canonical .*, 1 thread>",
    "options": r"Options\(threads=1, writable=False, training=False, augment=None, cache=None\)",
    "layouts": r"mappingproxy\({'': Layout\(places=\(Place\(name='lidar_num_points', offset=0, .*",
    "pool": r"<Pool: buffers made \d+, bytes kept for later \d+>",
    "tensors": r"<Tensors: lidar_points \(\d+, 5\) float32, lidar_num_points \(1,\) int32, ego_pose \(4, 4\) float64>",
    "explanation": r"schema canonical .*\n(.*\n)*stages, each once per frame:\n(.*\n)*tensors are read-only.*",
    "lane": "<Lane: 4 stages for 3 tensors>",
    "stage": r"<Cloud: cloud \(1 sweep, ego frame\)>",
    "filler": "<Points: points>",
    "points": r"<Columns: \d+ points of x y z intensity time_lag>",
    "written": "<Written: 0 rows, 0 elements, 0 bytes>",
    "draw": r"Draw\(seed=0, epoch=1, index=2\)",
    "sample": r"Sample\(frame=<Frame 1 .*>, draw=None\)",
    "schema": r"<Schema canonical [\d.]+: \d+ features in \d+ groups>",
    "group": "<Group lidar_points: lidar_points, lidar_num_points, .*>",
    "params": r"PointsParams\(.*\)",
    "feature": r"<Feature lidar_points: float32 \(num_points, C\), mixed, frame reference, fill 0>",
    "spec": r"<Spec: lidar_points float32 \(num_points, 5\), lidar_num_points int32 \(1\), ego_pose float64 \(4, 4\)>",
    "row": r"Row\(name='lidar_points', dtype='float32', shape=\('num_points', 5\), params=None, .*\)",
    "grid": r"Grid\(range=\(.*\), voxel=\(.*\), coordinates='xyz', outside='drop'\)",
    "preset": r"Preset\(params={.*}, training={.*}, follows=.*\)",
    "catalogue": r"schema canonical .*\n\nlidar: \d+ features\nfeature .*\nlidar_points(.*\n)*.*",
}
OF_LOG = {"log", "source", "frame", "cameras", "radars", "sync", "poses", "cache"}
RECORDS = {"lidar", "radar", "camera", "labels", "map", "layers", "layer", "lanes", "ground"}


def thing(name):
    if name in OF_LOG:
        f = frame()
        of_frame = {"frame": f, "cameras": f.cameras, "radars": f.radars, "sync": f.sync("cameras"), "poses": f.poses}
        return {"log": f.log, "source": f.log.source, "cache": f.log.cache, **of_frame}[name]
    return records(name) if name in RECORDS else of_builder(name)


def check_printed(name, printed):
    assert " at 0x" not in printed
    assert "object at" not in printed
    if name in TABLES:
        assert len(printed.splitlines()) <= MOST_LINES
    else:
        assert "\n" not in printed
        assert len(printed) <= MOST_LETTERS


@pytest.mark.parametrize("name", SAID)
def test_a_thing_is_printed_as_what_it_is(name):
    printed = repr(thing(name))
    check_printed(name, printed)
    assert re.fullmatch(SAID[name], printed), printed


@pytest.mark.parametrize("name", SAID)
def test_printing_reads_no_record(name):
    it = thing(name)
    before = dict(frame().log.reads)
    assert str(it)
    assert f"{it!r}"
    assert dict(frame().log.reads) == before


def test_a_log_that_was_just_opened_is_printed_without_reading_it():
    log = pc.open_log("synthetic", frames=2)
    for it in (log, log[0], log[0].cameras, log[0].radars, log[0].sync("lidars"), log.cache, log[0].poses):
        assert repr(it)
    assert not log.reads


def test_a_picture_is_printed_without_its_bytes():
    picture = CameraImage(
        "front", 5, np.eye(3), np.eye(4), read=stub, distortion=np.zeros(4), distortion_model="fisheye"
    )
    assert repr(picture) == "<CameraImage front at 5 ns: fisheye distortion>"


def test_labels_in_the_lidars_axes_say_so():
    assert " boxes in the lidar frame: " in repr(frame().labels.in_frame("lidar"))


def test_what_holds_nothing_is_printed_too():
    empty = memory_log(times_ns=[7])[0]
    assert repr(empty.cameras) == "<0 cameras: none at this frame>"
    assert repr(empty.sync("radars")) == "<Sync: no sensors>"
    assert repr(empty.poses) == "<Poses: 1 from 7 to 7 ns>"
    none = np.zeros(0, np.float32)
    assert repr(RadarSweep("r", 7, np.eye(4), none, none, none)) == "<RadarSweep r at 7 ns: 0 detections of x y z>"
    assert repr(HDMap()) == "<HDMap: no layers; no lane graph; no ground height>"
    lines = Shapes.of("line", {})
    graph = LaneGraph(lines, lines, lines, np.zeros((0, 2), int), np.zeros((0, 2), int), none > 0, np.array([], str))
    assert repr(graph) == "<LaneGraph: 0 lanes, 0 successors>"
    assert repr(Poses.fixed([1, 2])) == "<Poses: 2 from 1 to 2 ns>"
    assert repr(pc.Spec(())) == "<Spec: no rows>"


def shape_of(params):
    return ("K", 3)


def test_a_feature_whose_shape_is_a_function_has_no_address():
    one = Feature(name="acme", dtypes=("int32", "int64"), shape=shape_of, units="m", frame="none", fill=-1)
    assert repr(one) == "<Feature acme: int32 or int64 shape by the params, m, frame none, fill -1>"


def test_several_models_and_their_tensors_are_a_line():
    both = pc.InputBuilder({"near": ["lidar_points"], "far": ["ego_pose"]}, threads=2)
    check_printed("pools", repr(both.pools))
    check_printed("tensors", repr(both.build(frame())))
    assert repr(both).startswith("<InputBuilder near: 1 tensor, far: 1 tensor, schema canonical ")
    assert repr(both.plan).startswith("<Plan near: lidar_points; far: ego_pose; schema canonical ")
    assert repr(both.plan).endswith(", 2 threads>")


def test_tensors_say_what_was_dropped():
    from perceptum.testing import hostile_frames

    tensors = pc.InputBuilder(["lidar_num_points"]).build(hostile_frames()["points of NaN"])
    assert repr(tensors) == "<Tensors: lidar_num_points (1,) int32; dropped 200 non-finite points>"


def test_a_model_and_its_package_are_a_line(tmp_path):
    from perceptum.neuropod.package.package import open_package
    from perceptum.neuropod.packagers import create_placeholder_neuropod

    spec = [{"name": "x", "dtype": "float32", "shape": [2]}]
    path = tmp_path / "p.neuropod"
    create_placeholder_neuropod(neuropod_path=path, model_name="nothing", input_spec=spec, output_spec=spec)
    assert repr(open_package(path)) == f"<Package 'nothing' (placeholder) at {path}>"
    assert repr(pc.load_neuropod(path)) == f"<Model 'nothing' (placeholder) from {path}>"
