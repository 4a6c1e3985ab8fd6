"""Building into the memory of a model that a worker runs."""

from __future__ import annotations

import os

import numpy as np
import pytest

import perceptum as pc
from perceptum.neuropod import NeuropodError

POINTS = {"name": "lidar_points", "dtype": "float32", "shape": ["n", 5]}
POSE = {"name": "ego_pose", "dtype": "float64", "shape": [4, 4]}
SOURCE = """
kept = []
def model(lidar_points, ego_pose):
    kept.append(lidar_points)
    del kept[:-2]
    return {"points": np.array(lidar_points), "pose": np.array(ego_pose), "kept": np.array(kept[0])}
"""
OUTPUTS = [
    {"name": "points", "dtype": "float32", "shape": ["n", 5]},
    {"name": "pose", "dtype": "float64", "shape": [4, 4]},
    {"name": "kept", "dtype": "float32", "shape": ["k", 5]},
]


@pytest.fixture(scope="module")
def log():
    return pc.open_log("synthetic:frames=6,beams=16,azimuth_steps=120")


@pytest.fixture(scope="module")
def model(code_package):
    package = code_package(SOURCE, OUTPUTS, inputs=[POINTS, POSE], name="keeps what it is given")
    with pc.load_neuropod(package, trust=True, isolate=True) as loaded:
        yield loaded


def test_what_is_built_into_a_model_is_what_its_worker_reads(log, model):
    builder = pc.InputBuilder([POINTS, POSE])
    alone = pc.InputBuilder([POINTS, POSE])
    before = None
    for _ in range(3):
        for frame in log:
            tensors = builder.build(frame, into=model)
            assert all(model.allocator.holds(array) for array in tensors.values())
            said = model.infer(tensors)
            expected = alone.build(frame)
            np.testing.assert_array_equal(said["points"], expected["lidar_points"])
            np.testing.assert_array_equal(said["pose"], expected["ego_pose"])
            # what the worker still holds of the frame before was not built into again
            if before is not None:
                np.testing.assert_array_equal(said["kept"], before)
            before = expected["lidar_points"]
    del tensors, said
    used = []
    for _ in range(3):
        for frame in log:
            model.infer(builder.build(frame, into=model))
        used.append(model.allocator.used_bytes)
    assert used[1] == used[2]


def test_explain_says_that_the_worker_shares_the_memory_and_nothing_is_copied(log, model):
    own, other = pc.InputBuilder(model), pc.InputBuilder([POINTS, POSE])
    other.build(log[0], into=model)
    for builder in (own, other):
        assert {(t.owner, t.copies) for t in builder.explain().tensors} == {("model, shared with its worker", "none")}
    # memory of others the model has to copy
    own._start_in_child()
    assert {t.owner for t in own.explain().tensors} == {"builder's pool"}
    assert {t.copies for t in own.explain().tensors} == {"it does not lie in memory that the worker shares"}


def test_a_forked_process_builds_into_memory_of_its_own(log, model):
    own, other = pc.InputBuilder(model), pc.InputBuilder([POINTS, POSE])
    held = [own.build(log[0]), other.build(log[1], into=model)]
    content = [array.tobytes() for tensors in held for array in tensors.values()]
    child = os.fork()
    if child == 0:
        status = 1
        try:
            tensors = own.build(log[2], into=model)
            elsewhere = not any(model.allocator.holds(array) for array in tensors.values())
            try:
                other.build(log[2], into=model)
            except NeuropodError as error:
                status = 0 if elsewhere and "load it again here" in str(error) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [array.tobytes() for tensors in held for array in tensors.values()] == content
    model.infer(held[0])
