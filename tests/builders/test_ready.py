"""on_ready: a tensor is handed over as soon as it is written, while other stages still run."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from perceptum.builders import Filler, InputBuilder
from perceptum.features import Group, Schema, canonical

from .strangers import Nothing, feature

# what builds do, whatever they make: the sensors' families stand for all
SENSORS = ("lidar", "radar", "camera", "ego_pose", "reference")
NAMES = [feature.name for feature in canonical() if feature.name.startswith(SENSORS)]
GRID = {"range": [-40, -40, -3, 40, 40, 3], "voxel": [2, 2, 2]}
PARAMS = {group: {"grid": GRID} for group in ("lidar_voxels", "lidar_bev_occupancy", "lidar_bev_stats")}
# a frame decides the sizes of pictures else, which cannot be stacked
PARAMS |= {"image": {"cameras": ["CAM_FRONT", "CAM_BACK"], "crop": [12, 20]}}


@pytest.fixture(scope="module")
def frame(frame_of, street):
    return frame_of(street(400)[:, :3])


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("writable", [False, True])
def test_every_tensor_is_handed_over_once_and_whole(frame, threads, writable):
    builder, seen = InputBuilder(NAMES, params=PARAMS, threads=threads, writable=writable), {}

    def ready(model, name, array):
        assert name not in seen
        assert array.flags.writeable is writable
        seen[name] = (model, array, array.tobytes())

    for _ in range(3):
        seen.clear()
        tensors = builder.build(frame, on_ready=ready)
        assert set(seen) == set(NAMES)
        for name, (model, array, content) in seen.items():
            assert model == ""
            assert array is tensors[name]
            assert content == array.tobytes()


def test_a_tensor_is_ready_before_later_stages_run(frame):
    """A model could not begin on the voxels before the range image was there."""
    order = []

    class Late(Filler):
        group = "acme_late"

        def __init__(self, params, stages):
            super().__init__()
            self.title = "late"

        def run(self, sample):
            order.append("late runs")

        def fill(self, feature, out, written):
            out[:] = 0

    late = Group(name="acme_late", params=Nothing(), features=(feature("acme_late", (1,)),), filler=Late)
    schema = Schema("mine", "1", (*canonical().groups, late))
    builder = InputBuilder(["lidar_points", "acme_late"], schema=schema)
    builder.build(frame, on_ready=lambda model, name, array: order.append(name))
    assert order == ["lidar_points", "late runs", "acme_late"]


def test_with_threads_a_slow_stage_does_not_hold_up_what_is_ready(frame):
    done = threading.Event()

    class Slow(Filler):
        group = "acme_slow"

        def __init__(self, params, stages):
            super().__init__()
            self.title = "slow"

        def run(self, sample):
            assert done.wait(20)

        def fill(self, feature, out, written):
            out[:] = 0

    slow = Group(name="acme_slow", params=Nothing(), features=(feature("acme_slow", (1,)),), filler=Slow)
    schema = Schema("mine", "1", (*canonical().groups, slow))
    builder = InputBuilder(["acme_slow", "lidar_points"], schema=schema, threads=2)
    builder.build(frame, on_ready=lambda model, name, array: name == "lidar_points" and done.set())


def test_each_model_is_told_of_its_own(frame):
    seen = []
    builder = InputBuilder({"a": ["lidar_points"], "b": ["lidar_points", "ego_pose"]})
    builder.build(frame, on_ready=lambda model, name, array: seen.append((model, name)))
    assert sorted(seen) == [("a", "lidar_points"), ("b", "ego_pose"), ("b", "lidar_points")]


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_in_the_callback_is_the_callers_and_leaves_no_trace(frame, threads):
    builder = InputBuilder(NAMES, params=PARAMS, threads=threads)
    expected = {name: array.tobytes() for name, array in builder.build(frame).items()}

    def refuse(model, name, array):
        if name == "lidar_voxels":
            raise LookupError("not now")

    for _ in range(3):
        with pytest.raises(LookupError, match=r"^not now$"):
            builder.build(frame, on_ready=refuse)
        assert {name: array.tobytes() for name, array in builder.build(frame).items()} == expected


def test_the_layout_places_small_tensors_in_one_block(frame):
    builder = InputBuilder(["ego_pose", "lidar_points", "reference_stamp", "lidar_num_points"])
    layout = builder.plan.layouts[""]
    assert [(place.name, place.offset) for place in layout.places] == [
        ("ego_pose", 0),
        ("reference_stamp", 128),
        ("lidar_num_points", 192),
    ]
    for _ in range(3):
        tensors = builder.build(frame)
        begin = tensors["ego_pose"].ctypes.data
        assert {p.name: tensors[p.name].ctypes.data - begin for p in layout.places} == {
            p.name: p.offset for p in layout.places
        }
    held = tensors["reference_stamp"]
    stamp = held.copy()
    del tensors
    for _ in range(5):
        builder.build(frame)
    assert np.array_equal(held, stamp)
    offsets = {line.name: line.block_offset for line in builder.explain().tensors}
    assert offsets == {"ego_pose": 0, "lidar_points": None, "reference_stamp": 128, "lidar_num_points": 192}
