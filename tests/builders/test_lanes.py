"""A builder has as many lanes as callers at once; its plan is a value that nothing changes."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

from perceptum.builders import Filler, InputBuilder, Plan
from perceptum.builders.crew import Crew
from perceptum.builders.stage import Stages
from perceptum.datasets import open_log
from perceptum.features import Group, Schema, canonical
from perceptum.testing.held import Held

from .strangers import NAMES as STRANGERS
from .strangers import SCHEMA, Nothing, feature

# what builds do, whatever they make: the sensors' families stand for all
SENSORS = ("lidar", "radar", "camera", "ego_pose", "reference")
NAMES = [feature.name for feature in canonical() if feature.name.startswith(SENSORS)]
GRID = {"range": [-40, -40, -3, 40, 40, 3], "voxel": [2, 2, 2]}
PARAMS = {group: {"grid": GRID} for group in ("lidar_voxels", "lidar_bev_occupancy", "lidar_bev_stats")}
PARAMS |= {"lidar_range_image": {"height": 8, "width": 64}}
# a frame decides the sizes of pictures else, which cannot be stacked
PARAMS |= {"image": {"cameras": ["CAM_FRONT", "CAM_BACK"], "crop": [12, 20]}}


def everything(**options):
    return InputBuilder(NAMES, params=PARAMS, **options)


def in_bytes(tensors):
    return {name: (array.shape, array.tobytes()) for name, array in tensors.items()}


@pytest.fixture(scope="module")
def frames(frame_of, street):
    return [frame_of(street(n, seed=n)[:, :3]) for n in (400, 20, 350, 0, 399)]


def test_of_two_who_ask_at_once_one_is_the_first():
    for line in range(1, 5):
        stages, answers = Stages(Crew(1), {}), []

        def ask(stages=stages, answers=answers):
            answers.append(stages.first_time("no lidar"))

        with Held(line, ask, ("perceptum.builders.stage",)):
            ask()
        ask()
        assert answers.count(True) == 1


class Meeting(Filler):
    """Waits until another lane is here too: one lane after the other would wait forever."""

    group = "acme_meeting"
    barrier = threading.Barrier(2)

    def __init__(self, params, stages):
        super().__init__()
        self.title = "meeting"

    def run(self, sample):
        self.barrier.wait(20)

    def fill(self, feature, out, written):
        out[:] = 1


MEETING = Group(name="acme_meeting", params=Nothing(), features=(feature("acme_meeting", (3,)),), filler=Meeting)


@pytest.mark.parametrize("threads", [1, 2])
def test_two_callers_are_in_the_same_stage_at_once(frames, threads):
    builder = InputBuilder(["acme_meeting"], schema=Schema("mine", "1", (MEETING,)), threads=threads)
    with ThreadPoolExecutor(2) as callers:
        built = list(callers.map(builder.build, frames[:2]))
    assert [tensors["acme_meeting"].tolist() for tensors in built] == [[1, 1, 1]] * 2
    assert builder.explain().lanes == 2


def test_lanes_are_kept_for_later_callers(frames):
    builder = everything()
    with ThreadPoolExecutor(3) as callers:
        list(callers.map(builder.build, frames * 6))
    lanes = builder.explain().lanes
    assert 1 <= lanes <= 3
    for frame in frames:
        builder.build(frame)
    assert builder.explain().lanes == lanes


def test_dropped_counts_and_times_are_those_of_the_tensors_they_come_with(frame_of):
    """They lay on the builder, where the next caller's build changed them."""
    clouds = [np.r_[np.zeros((9, 3)), np.full((k, 3), np.nan)] for k in range(8)]
    builder = InputBuilder(["lidar_points", "lidar_num_points"])
    with ThreadPoolExecutor(4) as callers:
        for _ in range(10):
            built = callers.map(builder.build, [frame_of(cloud) for cloud in clouds])
            assert [tensors.dropped["non-finite points"] for tensors in built] == list(range(8))
    batch = builder.build_batch([frame_of(cloud) for cloud in clouds])
    assert batch.dropped["non-finite points"] == sum(range(8))
    titles = [stage.title for stage in builder.explain().stages]
    assert list(batch.times_s) == [*titles, "lidar_points", "lidar_num_points"]
    assert all(seconds > 0 for seconds in batch.times_s.values())


def test_a_plan_is_the_same_before_and_after_builds_and_small_when_pickled(frames):
    builder, other = everything(threads=2), everything(threads=2)
    before = pickle.dumps(builder.plan)
    assert len(before) < 4096
    for frame in frames:
        builder.build(frame)
    builder.build_batch(frames)
    assert pickle.dumps(builder.plan) == before
    assert builder.plan == other.plan == pickle.loads(before)
    assert builder.plan != everything().plan
    assert builder.plan != InputBuilder(NAMES[:1], threads=2).plan
    with pytest.raises(AttributeError):
        builder.plan.options = None


def test_a_plan_under_a_schema_of_ones_own_pickles_with_it(frames):
    builder = InputBuilder(STRANGERS, schema=SCHEMA)
    again = pickle.loads(pickle.dumps(builder))
    assert again.plan == builder.plan
    assert isinstance(again.plan, Plan)
    assert in_bytes(again.build(frames[0])) == in_bytes(builder.build(frames[0]))


def test_tensors_pickle_with_what_is_known_of_them(frames):
    tensors = everything().build(frames[0])
    again = pickle.loads(pickle.dumps(tensors))
    assert in_bytes(again) == in_bytes(tensors)
    assert (again.dropped, again.times_s) == (tensors.dropped, tensors.times_s)


def build_there(builder, k):
    """In a worker: the tensors' bytes of frame k, and whose process it was."""
    log = open_log("synthetic", frames=4, seed=0, beams=8, azimuth_steps=200)
    tensors = in_bytes(builder.build(log[k]))
    return tensors, os.getpid()


@pytest.mark.parametrize("start", ["spawn", "forkserver", "fork"])
@pytest.mark.parametrize("threads", [1, 2])
def test_builders_work_in_other_processes_however_these_are_started(start, threads):
    log = open_log("synthetic", frames=4, seed=0, beams=8, azimuth_steps=200)
    builder = everything(threads=threads)
    expected = [in_bytes(builder.build(frame)) for frame in log]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(start)) as workers:
        there = list(workers.map(build_there, [builder] * 4, range(4), timeout=120))
    assert [tensors for tensors, _ in there] == expected
    assert os.getpid() not in {process for _, process in there}


def test_a_forked_child_uses_the_builder_it_inherits():
    """Its threads are the parent's and are not there; a lane or a lock that was in use would never come free."""
    log = open_log("synthetic", frames=4, seed=0, beams=8, azimuth_steps=200)
    builder = everything(threads=3)
    expected = [in_bytes(builder.build(frame)) for frame in log]
    held = builder.build(log[0])
    read, write = os.pipe()
    # as a thread that was just taking memory would leave it
    builder.pool._lock.acquire()
    child = os.fork()
    if child == 0:
        try:
            batch = builder.build_batch([log[0], log[1]])["ego_pose"]
            right = all(in_bytes(builder.build(frame)) == own for frame, own in zip(log, expected, strict=True))
            right &= batch[1].tobytes() == expected[1]["ego_pose"][1]
            os.write(write, b"1" if right else b"0")
        finally:
            os._exit(0)
    builder.pool._lock.release()
    os.close(write)
    assert os.read(read, 1) == b"1"
    os.close(read)
    os.waitpid(child, 0)
    assert in_bytes(held) == expected[0]


def test_a_builder_says_what_it_is():
    assert repr(everything()) == f"<InputBuilder {len(NAMES)} tensors, schema canonical {canonical().version}>"
