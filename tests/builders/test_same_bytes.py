"""Invariant 1: the same frame gives the same bytes, whatever else was asked for, before, beside or in what memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from random import Random

import numpy as np
import pytest

from perceptum.builders import InputBuilder
from perceptum.datasets import memory_log
from perceptum.features import Concat, Stack, canonical
from perceptum.inputs import Poses

from .cameras import picture
from .radars import cycle

NAMES = [feature.name for feature in canonical()]
POINT_IDS = "lidar_point_voxel_id"
MS = 1_000_000
T0 = 1_700_000_000_000_000_000
GRID = {"range": [-40, -40, -3, 40, 40, 3], "voxel": [0.5, 0.5, 0.5]}
IMAGE = {"cameras": ["front", "left", "gone"], "resize": 0.5, "crop": [20, 40], "flip": True, "pad_multiple": 8}
PARAMS = {
    "image": IMAGE,
    "lidar_points": {"num_sweeps": 3, "columns": ["x", "y", "z", "intensity", "time_lag", "ring"]},
    "lidar_voxels": {"grid": GRID, "max_points_per_voxel": 4, "max_voxels": 700, "num_sweeps": 3},
    "lidar_pillars": {"grid": GRID, "max_points_per_voxel": 6, "max_voxels": 700, "num_sweeps": 3},
    "lidar_bev_occupancy": {"grid": GRID, "overflow_slices": True, "bev_layout": "YXC", "flip_y": True},
    "lidar_bev_stats": {"grid": GRID},
    "lidar_bev_temporal": {"grid": GRID, "num_sweeps": 4},
    "lidar_range_image": {"height": 16, "width": 256},
    "radar_voxels": {"grid": GRID, "filter": "none", "max_points_per_voxel": 3},
    "radar_bev": {"grid": GRID, "filter": "none", "num_sweeps": 3},
    "camera_depth": {"lidar": {"num_sweeps": 3}, "stride": 3, "collision": "last_of_pixel"},
    "lidar_camera_pixels": {"lidar": {"num_sweeps": 3}, "take": "all"},
    "gt_segmentation": {"lidar": {"num_sweeps": 3}},
    "radar_camera_points": {"radar": {"filter": "none"}, "max_points": 9},
}


@pytest.fixture(scope="module")
def drive(sweep_of, street):
    """Twelve frames on a curve: large, small and empty clouds, some points not finite; a radar; and cameras."""
    times = T0 + np.arange(13) * 50 * MS
    turns = np.column_stack([np.cos(0.01 * np.arange(13)), *np.zeros((2, 13)), np.sin(0.01 * np.arange(13))])
    poses = Poses(times, turns, np.outer(np.arange(13), [0.4, 0.1, 0]))
    mount = np.eye(4)
    mount[:3, 3] = 1, 0, 1.8
    sweeps = []
    for k, n in enumerate([3000, 10, 2500, 0, 4000, 1, 0, 3500, 100, 2000, 3999, 7]):
        points = street(n, seed=k)
        points[::97, 2] = np.nan
        ring, offsets = np.arange(n) % 32, np.linspace(-20 * MS, 20 * MS, n).astype(np.int64)
        more = {"ring": ring, "offset_ns": offsets, "intensity_scale": 255.0, "ego_from_sensor": mount}
        sweeps.append(sweep_of(points[:, :3], points[:, 3], time_ns=int(times[k]), **more))
    radars = [cycle(n, int(times[k]) - 9 * MS, seed=k) for k, n in enumerate([60, 0, 7, 90, 1, 50, 70, 3, 0, 80])]
    pictures = [picture("front", int(times[k]) - 8 * MS, seed=k) for k in (0, 1, 3, 4, 5, 9, 11)]
    pictures += [
        picture("left", int(times[k]) + 5 * MS, size=(60, 80), seed=20 + k, yaw_rad=1.5) for k in (1, 2, 4, 11)
    ]
    log = memory_log(sweeps, radars=radars[1:], poses=poses, cameras=pictures)
    log.camera_tolerance_ns = 10 * MS
    return log


def builder(names, **options):
    groups = [canonical().group_of(name.partition("__")[0]) for name in names]
    taken = {group.name for group in groups} | {part for group in groups for part in group.parts}
    return InputBuilder(names, training=True, params={g: p for g, p in PARAMS.items() if g in taken}, **options)


def in_bytes(tensors):
    return {name: (a.dtype.str, a.shape, a.tobytes()) for name, a in tensors.items()}


@pytest.fixture(scope="module")
def truth(drive):
    """Every tensor of every frame, each from a builder of its own that has built nothing else."""
    return [{name: in_bytes(builder([name]).build(frame))[name] for name in NAMES} for frame in drive]


@pytest.mark.parametrize("seed", range(4))
def test_asking_for_less_never_changes_a_tensor(drive, truth, seed):
    random = Random(seed)
    names = random.sample(NAMES, random.randint(1, len(NAMES)))
    one = builder(names)
    for k in random.sample(range(len(drive)), 6):
        got = in_bytes(one.build(drive[k]))
        assert list(got) == names
        assert got == {name: truth[k][name] for name in names}


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("writable", [False, True])
def test_neither_threads_nor_reused_memory_change_a_byte(drive, truth, threads, writable):
    one, random = builder(NAMES, threads=threads, writable=writable), Random(threads)
    for _ in range(3):
        for k in random.sample(range(len(drive)), len(drive)):
            assert in_bytes(one.build(drive[k])) == truth[k]


def test_what_a_user_writes_into_a_writable_tensor_is_gone_with_it(drive, truth):
    one = builder(NAMES, writable=True)
    for k in [0, 4, 1, 3, 7, 0, 5, 10] * 3:
        tensors = one.build(drive[k])
        assert in_bytes(tensors) == truth[k]
        for array in tensors.values():
            array.view(np.uint8)[...] = 0xA5


@pytest.mark.parametrize("writable", [False, True])
def test_tensors_held_for_a_while_do_not_disturb_later_ones(drive, truth, writable):
    one, random, held = builder(NAMES, writable=writable), Random(0), []
    for _ in range(30):
        k = random.randrange(len(drive))
        held.append((k, one.build(drive[k])))
        if len(held) > 5:
            del held[random.randrange(5)]
        for j, tensors in held:
            assert in_bytes(tensors) == truth[j]


@pytest.mark.parametrize("threads", [1, 4])
def test_many_callers_at_once_each_get_their_own_frame(drive, truth, threads):
    one = builder(NAMES, threads=threads)

    def call(k):
        return in_bytes(one.build(drive[k])) == truth[k]

    with ThreadPoolExecutor(6) as callers:
        assert all(callers.map(call, [k % len(drive) for k in range(60)]))


def test_a_second_instance_under_a_suffix_is_the_feature_with_its_params(drive, truth):
    """Two voxelizations side by side, each as if alone."""
    coarse = {"grid": {**GRID, "voxel": [2, 2, 2]}}
    rows = [
        {"name": "lidar_voxels", "dtype": "float32", "shape": ["n", 4, 5], "params": PARAMS["lidar_voxels"]},
        {"name": "lidar_voxels__coarse", "dtype": "float32", "shape": ["m", 10, 5], "params": coarse},
    ]
    one = InputBuilder(rows)
    for k, frame in enumerate(drive):
        got = in_bytes(one.build(frame))
        alone = InputBuilder(["lidar_voxels"], params={"lidar_voxels": coarse}).build(frame)
        assert got == {
            "lidar_voxels": truth[k]["lidar_voxels"],
            "lidar_voxels__coarse": in_bytes(alone)["lidar_voxels"],
        }


def test_a_frame_built_twice_or_opened_anew_gives_the_same_bytes(drive, truth):
    one, frame = builder(NAMES), drive[4]
    for again in (frame, frame, drive[4]):
        assert in_bytes(one.build(again)) == truth[4]


@pytest.mark.parametrize("writable", [False, True])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_place_in_a_batch_changes_no_byte(drive, truth, threads, writable):
    one, random = builder(NAMES, threads=threads, writable=writable), Random(1)
    for size in (1, 5, 3, 2, 5):
        picked = [random.randrange(len(drive)) for _ in range(size)]
        batch = one.build_batch([drive[k] for k in picked])
        for name in NAMES:
            group = canonical().group_of(name).name
            starts = batch.get(f"{name}_batch_ptr", batch.get(f"{group}_batch_ptr"))
            for place, k in enumerate(picked):
                ragged = canonical()[name].collate != Stack()
                stretch = slice(starts[place], starts[place + 1]) if ragged else place
                edges = ragged and canonical()[name].collate.axis
                own = batch[name][:, stretch] if edges else batch[name][stretch]
                own = own[:, 1:] if canonical()[name].collate == Concat(index="column") else own
                if name == POINT_IDS:
                    own = np.where(own < 0, own, own - batch["lidar_voxels_batch_ptr"][place])
                assert (own.dtype.str, own.shape, own.tobytes()) == truth[k][name], name
        if writable:
            for array in batch.values():
                array.view(np.uint8)[...] = 0xA5
        one.build(drive[picked[0]])
