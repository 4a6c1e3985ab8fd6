"""What only first builds take is in `once_s`, and in no stage's time."""

from __future__ import annotations

import pickle
from time import perf_counter, sleep

import numpy as np
import pytest

from perceptum.builders import Filler, InputBuilder
from perceptum.features import Feature, Group, Params, Schema, canonical
from perceptum.inputs.first_calls import COMPILING, LOADING, first_call

WAIT_S = 0.05


class LateParams(Params, frozen=True, kw_only=True):
    """None."""


class Late(Filler):
    """Its first run waits for a kernel, as does each tensor when it is first filled."""

    group = "acme_late"
    waits = True

    def __init__(self, params, stages):
        super().__init__()
        self.title = "late"

    def run(self, sample):
        self.wait(COMPILING)

    def fill(self, feature, out, written):
        self.wait(LOADING)
        Late.waits = False

    def wait(self, kind):
        if Late.waits:
            with first_call([kind]):
                sleep(WAIT_S)


LATE = Group(
    name="acme_late",
    params=LateParams(),
    features=(
        Feature(
            name="acme_late", dtypes=("float32",), shape=(2,), units="m", frame="none", fill=0.0, prose="Comes late."
        ),
    ),
    filler=Late,
)


@pytest.fixture
def builder(monkeypatch) -> InputBuilder:
    monkeypatch.setattr(Late, "waits", True)
    return InputBuilder(["acme_late"], schema=Schema("acme", "1.0.0", (*canonical().groups, LATE)))


@pytest.fixture
def frame(frame_of):
    return frame_of(np.zeros((1, 3)))


def test_what_a_kernel_is_waited_for_is_in_no_stages_time(builder, frame):
    start = perf_counter()
    first = builder.build(frame)
    took_s = perf_counter() - start
    assert set(first.once_s) == {COMPILING, LOADING}
    assert all(spent > 0.9 * WAIT_S for spent in first.once_s.values())
    assert set(first.times_s) == {"late", "acme_late"}
    assert 0 < sum(first.times_s.values()) <= took_s - sum(first.once_s.values())
    assert builder.build(frame).once_s == {}


def test_a_batch_counts_what_its_frames_waited_for(builder, frame):
    batch = builder.build_batch([frame, frame])
    assert set(batch.once_s) == {COMPILING, LOADING}
    assert builder.build_batch([frame]).once_s == {}


def test_it_travels_with_the_tensors(builder, frame):
    first = builder.build(frame)
    assert pickle.loads(pickle.dumps(first)).once_s == first.once_s


@pytest.mark.parametrize("door", ["build", "build_batch"])
def test_the_plan_shows_it_apart_for_as_long_as_the_builder_lives(builder, frame, door):
    assert builder.explain().once_ms == {}
    getattr(builder, door)(frame if door == "build" else [frame, frame])
    builder.build(frame)
    plan = builder.explain()
    assert set(plan.once_ms) == {COMPILING, LOADING}
    assert max(line.ms for line in (*plan.stages, *plan.tensors)) < WAIT_S * 1e3 / 2
    assert f"once, and in none of these times: {COMPILING} {plan.once_ms[COMPILING]:.1f} ms" in str(plan)


def test_models_of_one_plan_are_told_the_same(monkeypatch, frame):
    monkeypatch.setattr(Late, "waits", True)
    schema = Schema("acme", "1.0.0", (*canonical().groups, LATE))
    built = InputBuilder({"a": ["acme_late"], "b": ["ego_pose"]}, schema=schema).build(frame)
    assert set(built["a"].once_s) == {COMPILING, LOADING}
    assert built["a"].once_s == built["b"].once_s


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_that_wait_at_the_same_time_wait_once(frame, threads, monkeypatch):
    monkeypatch.setattr(Late, "waits", True)

    class Two(Late):
        def __init__(self, params, stages):
            super().__init__(params, stages)
            self.stages = stages

        def run(self, sample):
            self.stages.each(lambda _: self.wait(LOADING), range(2))

    group = Group(name="acme_late", params=LateParams(), features=LATE.features, filler=Two)
    schema = Schema("acme", "1.0.0", (*canonical().groups, group))
    start = perf_counter()
    first = InputBuilder(["acme_late"], schema=schema, threads=threads).build(frame)
    took_s = perf_counter() - start
    # what a helper waits for alone is in the stage's time
    assert 2 * 0.9 * WAIT_S < sum(first.once_s.values()) <= took_s
