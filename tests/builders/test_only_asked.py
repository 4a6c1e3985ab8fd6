"""Invariant 2: records that nothing asked for are not read, and what is shared is computed once."""

from __future__ import annotations

import time

import numpy as np
import pytest

from perceptum.builders import InputBuilder
from perceptum.datasets import memory_log
from perceptum.features import canonical
from perceptum.inputs import LidarSweep

from .cameras import picture

NAMES = [feature.name for feature in canonical()]
LIDAR = [name for name in NAMES if name.startswith(("lidar", "ego_pose")) and not name.startswith("lidar_camera")]
# with a symbol of its own for the points, where another cloud than that of lidar_points is meant
OWN_POINTS = {"lidar_point_voxel_id": "voxels", "lidar_camera_pixels": "pixels", "lidar_camera_index": "pixels"}
OWN_POINTS |= {"gt_segmentation": "classes"}
APART = [f"{name}__{OWN_POINTS[name]}" if name in OWN_POINTS else name for name in NAMES]
MS = 1_000_000
T0 = 1_700_000_000_000_000_000
IMAGE = {"cameras": ["front", "left"], "crop": [20, 40]}
# by default the one takes ten sweeps, and both coarser cells than the others
LIKE_THE_OTHERS = {
    "lidar_bev_temporal": {"num_sweeps": 1, "grid": {"voxel": [0.1, 0.1, 0.2]}},
    "lidar_pillars": {"grid": {"voxel": [0.1, 0.1, 0.2]}, "max_voxels": 120_000},
}


@pytest.fixture
def log(sweep_of):
    """Two lidars, five sweeps each, and two cameras, five pictures each."""
    random = np.random.default_rng(0)
    stamps = [T0 + 50 * MS * k for k in range(5)]
    clouds = [(name, t, random.normal(0, 10, (50, 3))) for name in ("top", "side") for t in stamps]
    pictures = [picture(name, t + MS) for name in ("front", "left") for t in stamps]
    return memory_log([sweep_of(xyz, sensor=name, time_ns=t) for name, t, xyz in clouds], cameras=pictures)


@pytest.mark.parametrize(
    ("names", "params", "reads"),
    [
        (["ego_pose", "reference_stamp"], {}, {}),
        (["lidar_points"], {}, {"lidar/top": 1, "lidar/side": 1}),
        (["lidar_points"], {"lidar_points": {"sensors": ["side"]}}, {"lidar/side": 1}),
        (["lidar_points"], {"lidar_points": {"num_sweeps": 3}}, {"lidar/top": 3, "lidar/side": 3}),
        (["lidar_range_image"], {}, {"lidar/top": 1}),
        (["lidar_range_image_mask"], {"lidar_range_image": {"sensor": "side"}}, {"lidar/side": 1}),
        (["lidar_height_above_ground"], {"lidar_points": {"ground": "plane"}}, {"lidar/top": 1, "lidar/side": 1}),
        (["lidar_bev_temporal"], {"lidar_bev_temporal": {"num_sweeps": 2}}, {"lidar/top": 2, "lidar/side": 2}),
        (["camera_images"], {}, {"camera/front": 1, "camera/left": 1}),
        (["camera_projection", "camera_valid"], {"image": {"cameras": ["left"]}}, {"camera/left": 1}),
        (
            NAMES,
            LIKE_THE_OTHERS,
            {"lidar/top": 1, "lidar/side": 1, "map": 1, "camera/front": 1, "camera/left": 1, "labels": 5},
        ),
        (
            LIDAR,
            {**LIKE_THE_OTHERS, "lidar_points": {"num_sweeps": 4}, "lidar_voxels": {"num_sweeps": 4}},
            {"lidar/top": 4, "lidar/side": 4, "map": 1},
        ),
    ],
)
def test_only_the_records_that_the_spec_needs_are_read_and_each_once(log, names, params, reads):
    InputBuilder(names, params=params, training=True).build(log[4])
    assert dict(log.reads) == reads


@pytest.mark.parametrize("threads", [1, 4])
def test_stages_side_by_side_do_not_read_a_record_twice(log, threads):
    """Two threads that both found a sweep missing both read it."""
    read = log.source.read_lidar

    def slowly(sensor, index) -> LidarSweep:
        time.sleep(0.02)
        return read(sensor, index)

    log.source.read_lidar = slowly
    params = {"lidar_points": {"num_sweeps": 2}, "lidar_voxels": {"num_sweeps": 2, "remove_close": 1}} | LIKE_THE_OTHERS
    InputBuilder(APART, params=params, threads=threads, training=True).build(log[4])
    assert dict(log.reads) == {
        "lidar/top": 2,
        "lidar/side": 2,
        "map": 1,
        "camera/front": 1,
        "camera/left": 1,
        "labels": 5,
    }


def stage_titles(names, params=None):
    return [stage.title for stage in InputBuilder(names, params=params, training=True).explain().stages]


def test_one_cloud_and_one_set_of_cells_serve_all_that_share_them():
    titles = stage_titles(LIDAR, LIKE_THE_OTHERS)
    assert [t for t in titles if t.startswith("cloud")] == ["cloud (1 sweep, ego frame)"]
    assert [t for t in titles if t.startswith("cells")] == ["cells (1024 x 1024 x 40)"]
    assert len(titles) == len(set(titles)) == 12


@pytest.mark.parametrize(
    ("params", "clouds", "cells"),
    [
        ({"lidar_voxels": {"num_sweeps": 2}}, 2, 2),
        ({"lidar_voxels": {"columns": ["x", "y", "z"], "max_voxels": 5}}, 1, 1),
        ({"lidar_bev_stats": {"grid": {"voxel": [0.2, 0.2, 8]}}}, 1, 2),
        ({"lidar_bev_occupancy": {"overflow_slices": True}}, 1, 2),
        ({"lidar_points": {"num_sweeps": 3}, "lidar_bev_stats": {"intensity_mode": "raw"}}, 3, 2),
    ],
)
def test_what_differs_is_not_shared(params, clouds, cells):
    names = [f"{name}__own" if name == "lidar_point_voxel_id" else name for name in LIDAR]
    titles = stage_titles(names, LIKE_THE_OTHERS | params)
    assert sum(t.startswith("cloud") for t in titles) == clouds
    assert sum(t.startswith("cells") for t in titles) == cells


@pytest.mark.parametrize("threads", [1, 3])
def test_every_stage_runs_once_per_frame(log, threads):
    builder, runs = InputBuilder(NAMES, params={"image": IMAGE}, threads=threads, training=True), []
    lane = builder._take_lane()
    for stage in lane.stages:
        stage.run = lambda sample, run=stage.run, stage=stage: (runs.append(stage), run(sample))[1]
    builder._lanes.append(lane)
    for built in (1, 2):
        builder.build(log[4])
        assert sorted(map(id, runs)) == sorted([id(stage) for stage in lane.stages] * built)
    builder.build_batch([log[0], log[1]])
    assert len(runs) == 4 * len(lane.stages)


def test_a_plan_holds_no_stage_that_nobody_needs():
    for name in NAMES:
        for stage in InputBuilder([name], training=True).explain().stages:
            assert stage.serves == (name,)
