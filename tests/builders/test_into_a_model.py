"""Building into a model: in its own memory, each tensor handed over when it is ready, and never a wrong byte."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import weakref
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perceptum.builders import InputBuilder, Pool
from perceptum.builders.handover import Receiver

from .keeper import Keeper

GRID = {"range": [-40, -40, -3, 40, 40, 3], "voxel": [1, 1, 1]}
PARAMS = {
    group: {"grid": GRID} for group in ("lidar_voxels", "lidar_bev_occupancy", "lidar_bev_stats", "lidar_bev_temporal")
}
PARAMS |= {"lidar_range_image": {"height": 8, "width": 64}}
NAMES = [
    "lidar_points",
    "lidar_voxels",
    "lidar_voxel_coords",
    "lidar_voxel_num_points",
    "lidar_bev_occupancy",
    "lidar_bev_stats",
    "lidar_range_image",
    "ego_pose",
    "reference_stamp",
]


class Block(np.ndarray):
    """Memory that the worker may use."""

    used = 0

    def in_use(self):
        return self.used > 0


class Arena:
    """What a model's own memory comes from; it knows whose an array is."""

    owner = "model, shared with its worker"

    def __init__(self):
        self.blocks = []
        self.refuse = False

    def __call__(self, name, nbytes):
        if self.refuse:
            raise MemoryError(f"no memory for '{name}'")
        raw = np.zeros(nbytes + 64, np.uint8)
        block = raw[-raw.ctypes.data % 64 :][:nbytes].view(Block)
        self.blocks.append(weakref.ref(block))
        return block

    def block_of(self, array):
        start = array.ctypes.data
        for one in self.blocks:
            block = one()
            if block is not None and block.ctypes.data <= start < block.ctypes.data + max(block.nbytes, 1):
                return block
        return None


class Model:
    """A stand-in with memory of its own, which is told of each tensor."""

    def __init__(self, spec, seals=True):
        self.inputs = [row.to_dict() for row in spec]
        self.allocator = Arena()
        self.sealed = {}
        if seals:
            self.seal = self._seal

    def _seal(self, name, array):
        self.sealed[name] = array
        return name, array

    def copies(self, arrays):
        own = self.allocator or Arena()
        return {name: "it is not mine" for name, array in arrays.items() if own.block_of(array) is None}


def everything(names=NAMES, **options):
    params = {group: own for group, own in PARAMS.items() if any(name.startswith(group[:-1]) for name in names)}
    return InputBuilder(names, params=params, **options)


def in_bytes(tensors):
    return {name: (array.shape, array.tobytes()) for name, array in tensors.items()}


@pytest.fixture(scope="module")
def frames(frame_of, street):
    return [frame_of(street(n, seed=n)[:, :3], time_ns=1000 * n) for n in (900, 50, 700, 1, 0, 899)]


@pytest.fixture(scope="module")
def truth(frames):
    return [in_bytes(everything().build(frame)) for frame in frames]


@pytest.mark.parametrize("threads", [1, 3])
def test_tensors_lie_in_the_models_memory_and_each_is_handed_over_when_it_is_ready(frames, truth, threads):
    builder = everything(threads=threads)
    model, heard = Model(builder.spec), []
    for k in (0, 1, 2, 0, 3, 4, 5):
        model.sealed.clear()
        tensors = builder.build(
            frames[k], into=model, on_ready=lambda spec, name, array: heard.append(name in model.sealed)
        )
        assert in_bytes(tensors) == truth[k]
        assert set(model.sealed) == set(NAMES)
        for name, array in tensors.items():
            assert model.sealed[name] is array
            assert not array.flags.writeable
            assert model.allocator.block_of(array) is not None
    # the caller hears of a tensor when the model has it
    assert heard == [True] * 7 * len(NAMES)


def test_a_model_hears_of_its_own_inputs_alone():
    model = Model(InputBuilder(["ego_pose"]).spec)
    receiver = Receiver(model)
    for name in ("lidar_points", "ego_pose"):
        receiver.hand_over(name, np.zeros(4))
    assert list(model.sealed) == ["ego_pose"]


def test_memory_is_made_once_and_reused(frames):
    builder = everything()
    model = Model(builder.spec, seals=False)
    for k in (0, 1, 2, 3):
        builder.build(frames[k], into=model)
    made = len(model.allocator.blocks)
    for k in Random(0).choices(range(6), k=20):
        builder.build(frames[k], into=model)
    assert len(model.allocator.blocks) == made
    assert builder.pool.allocated == 0


def test_batches_are_built_there_too_but_are_not_what_the_model_takes(frames):
    builder = everything()
    model = Model(builder.spec)
    for picked in ([0, 1], [2, 0, 5], [3, 4], [0]):
        batch = builder.build_batch([frames[k] for k in picked], into=model)
        alone = everything().build_batch([frames[k] for k in picked])
        assert in_bytes(batch) == in_bytes(alone)
        assert model.sealed == {}
        assert all(model.allocator.block_of(array) is not None for array in batch.values())


def test_of_several_models_each_gets_its_own(frames, truth):
    params = {group: own for group, own in PARAMS.items() if group != "lidar_bev_temporal"}
    builder = InputBuilder({"a": NAMES, "b": ["lidar_points", "ego_pose"], "c": ["ego_pose"]}, params=params)
    one, other = Model(builder.specs["a"]), Model(builder.specs["b"])
    built = builder.build(frames[0], into={"a": one, "b": other})
    assert in_bytes(built["a"]) == truth[0]
    assert in_bytes(built["b"]) == {name: truth[0][name] for name in ("lidar_points", "ego_pose")}
    assert (set(one.sealed), set(other.sealed)) == (set(NAMES), {"lidar_points", "ego_pose"})
    assert all(one.allocator.block_of(array) is not None for array in built["a"].values())
    assert all(other.allocator.block_of(array) is not None for array in built["b"].values())
    assert other.allocator.block_of(built["a"]["lidar_points"]) is None
    lines = {(t.model, t.name): t.owner for t in builder.explain().tensors}
    assert lines["a", "lidar_points"] == "model, shared with its worker"
    assert lines["c", "ego_pose"] == "builder's pool"
    batches = builder.build_batch(frames[:2], into={"b": other})
    assert set(batches) == {"a", "b", "c"}


def test_a_model_that_has_no_memory_gets_the_builders(frames, truth):
    builder = everything()
    model = Model(builder.spec)
    model.allocator = None
    assert in_bytes(builder.build(frames[0], into=model)) == truth[0]
    assert set(model.sealed) == set(NAMES)
    assert builder.pool.allocated > 0
    assert {line.owner for line in builder.explain().tensors} == {"builder's pool"}


def test_the_model_that_a_builder_is_made_for_has_one_pool(frames, truth):
    model = Model(everything().spec)
    builder = InputBuilder(model)
    for into in (None, model, None, model):
        assert in_bytes(builder.build(frames[0], into=into)) == truth[0]
    assert len(model.allocator.blocks) == builder.pool.allocated
    # without `into` nothing is handed over
    model.sealed.clear()
    builder.build(frames[1])
    assert model.sealed == {}


def test_writable_tensors_are_not_handed_over_since_they_may_still_change(frames, truth):
    builder = everything(writable=True)
    model = Model(builder.spec)
    for k in (0, 1, 2, 0):
        tensors = builder.build(frames[k], into=model)
        assert in_bytes(tensors) == truth[k]
        assert all(model.allocator.block_of(array) is not None for array in tensors.values())
        for array in tensors.values():
            array.view(np.uint8)[...] = 0xA5
    builder.build_batch(frames[:2], into=model)
    assert model.sealed == {}


def test_a_builder_does_not_keep_a_model_alive_nor_its_memory(frames):
    builder = everything()
    gc.disable()
    try:
        for _ in range(3):
            model = Model(builder.spec, seals=False)
            arena, gone = model.allocator, weakref.ref(model)
            builder.build(frames[0], into=model)
            del model
            assert gone() is None
            assert builder.explain().tensors[0].owner == "model, shared with its worker"
            # the next model finds what is left, and it goes
            other = Model(builder.spec, seals=False)
            builder.build(frames[0], into=other)
            assert [block for block in arena.blocks if block() is not None] == []
    finally:
        gc.enable()


def test_a_model_that_cannot_be_referred_to_weakly_serves_too(frames, truth):
    class Slotted:
        __slots__ = ("allocator", "inputs")

        def __init__(self, spec):
            self.inputs, self.allocator = [row.to_dict() for row in spec], Arena()

    builder = everything()
    model = Slotted(builder.spec)
    for k in (0, 1, 0):
        assert in_bytes(builder.build(frames[k], into=model)) == truth[k]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_model_that_refuses_a_tensor_fails_the_build_and_nothing_else(frames, truth, threads, kind):
    builder = everything(threads=threads)
    model = Model(builder.spec)
    builder.build(frames[0], into=model)

    def seal(name, array):
        if name == at:
            raise kind(name)

    for at in NAMES:
        model.seal = seal
        with pytest.raises(kind, match=at):
            builder.build(frames[1], into=model)
        model.seal = model._seal
        model.sealed.clear()
        assert in_bytes(builder.build(frames[2], into=model)) == truth[2]
        assert in_bytes(builder.build(frames[3])) == truth[3]


def test_what_was_handed_over_of_a_build_that_failed_is_not_written_to_while_it_is_read(frames, truth):
    """The worker had begun to move it, and the next build would have written into the same memory."""
    builder = everything()
    model, moved = Model(builder.spec), []

    def seal(name, array):
        if name == "lidar_range_image":
            raise RuntimeError("the worker died")
        block = model.allocator.block_of(array)
        block.used += 1
        moved.append((block, array.__array_interface__["data"][0], array.tobytes()))

    model.seal = seal
    with pytest.raises(RuntimeError):
        builder.build(frames[0], into=model)
    assert moved
    del model.seal
    for k in (1, 2, 3):
        assert in_bytes(builder.build(frames[k], into=model)) == truth[k]
        for block, start, content in moved:
            at = start - block.ctypes.data
            assert block[at : at + len(content)].tobytes() == content


def test_memory_that_runs_out_loses_nothing(frames, truth):
    builder = everything()
    model = Model(builder.spec)
    model.allocator.refuse = True
    with pytest.raises(MemoryError, match=r"^no memory for '"):
        builder.build(frames[0], into=model)
    model.allocator.refuse = False
    assert in_bytes(builder.build(frames[1], into=model)) == truth[1]


@pytest.mark.parametrize("into", [3, object(), "a model", {"": 3}])
def test_what_is_neither_a_memory_nor_a_model_is_refused(frames, into):
    builder = everything()
    with pytest.raises(TypeError, match=r"^into must be a memory, with `take`, or a model, got (an? )?\w+$"):
        builder.build(frames[0], into=into)
    with pytest.raises(TypeError, match=r"^into must be a memory, with `take`, or a model, got (an? )?\w+$"):
        builder.build_batch(frames[:2], into=into)


def test_explain_says_whose_memory_it_was_and_what_is_copied(frames):
    builder = everything()
    model = Model(builder.spec)
    assert {(t.owner, t.copies) for t in builder.explain().tensors} == {("builder's pool", "none")}
    builder.build(frames[0], into=model)
    assert {(t.owner, t.copies) for t in builder.explain().tensors} == {("model, shared with its worker", "none")}
    assert "in model, shared with its worker" in str(builder.explain())
    builder.build(frames[0], into=Keeper())
    assert {(t.owner, t.copies) for t in builder.explain().tensors} == {("caller's memory", "none")}
    builder.build(frames[0])
    assert {(t.owner, t.copies) for t in builder.explain().tensors} == {("builder's pool", "none")}
    # of the model's own memory there is none here, and the model says what follows from it
    own = InputBuilder(model)
    assert {(t.owner, t.copies) for t in own.explain().tensors} == {("model, shared with its worker", "none")}
    own._start_in_child()
    assert {(t.owner, t.copies) for t in own.explain().tensors} == {("builder's pool", "it is not mine")}


def _build_there(builder, frame, conn):
    conn.send((in_bytes(builder.build(frame)), [t.owner for t in builder.explain().tensors]))


def test_elsewhere_a_builder_has_memory_of_its_own(frames, truth):
    """Pickled, or inherited by a forked child: the model's memory is shared with the process that loaded it."""
    model = Model(everything().spec)
    builder = InputBuilder(model)
    builder.build(frames[0])
    made = len(model.allocator.blocks)
    copy = pickle.loads(pickle.dumps(builder))
    assert in_bytes(copy.build(frames[1])) == truth[1]
    assert len(model.allocator.blocks) == made
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_build_there, args=(builder, frames[2], there))
    child.start()
    built, owners = here.recv()
    child.join()
    assert built == truth[2]
    assert set(owners) == {"builder's pool"}


def test_in_a_forked_child_the_builders_own_model_gives_no_memory(frames, truth):
    model = Model(everything().spec)
    builder, other = InputBuilder(model), everything()
    held = builder.build(frames[0])
    other.build(frames[0], into=model)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            model.allocator.refuse = True
            model.sealed.clear()
            right = in_bytes(builder.build(frames[1], into=model)) == truth[1] and in_bytes(held) == truth[0]
            right = right and model.sealed == {}
            try:
                other.build(frames[1], into=model)
            except MemoryError:
                status = 0 if right else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


_builders = {}


def _builder(names, threads):
    key = (tuple(names), threads)
    if key not in _builders:
        _builders[key] = everything(names, threads=threads)
    return _builders[key]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_nothing_is_lent_while_a_view_lives_or_the_worker_holds_it(frames, truth, data):
    """Any features, threads, batches and lifetimes, and a worker that holds what it likes for as long as it likes."""
    model = Model(everything().spec, seals=False)
    pools = data.draw(st.booleans(), "the model's own builder")
    views, worker = [], []
    for _ in range(data.draw(st.integers(1, 12), "steps")):
        names = data.draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True), "features")
        if pools:
            names = sorted(names, key=NAMES.index)
        builder = _builder(tuple(names), data.draw(st.sampled_from([1, 2])))
        k = data.draw(st.integers(0, 5), "frame")
        if data.draw(st.booleans(), "batch"):
            tensors = builder.build_batch([frames[k]], into=model)
            single = {name: array for name, array in tensors.items() if name in ("lidar_points", "lidar_voxels")}
            assert all(in_bytes(single)[name] == truth[k][name] for name in single)
        else:
            tensors = builder.build(frames[k], into=model)
            assert in_bytes(tensors) == {name: truth[k][name] for name in names}
        for name, array in tensors.items():
            fate = data.draw(st.sampled_from(["go", "view", "worker", "both"]), name)
            if fate in ("view", "both"):
                view = array.reshape(-1)[data.draw(st.integers(0, 3)) :: data.draw(st.integers(1, 3))]
                views.append((view, view.copy()))
            if fate in ("worker", "both") and array.size:
                block = model.allocator.block_of(array)
                block.used += 1
                at = array.ctypes.data - block.ctypes.data
                worker.append((block, slice(at, at + array.nbytes), array.tobytes()))
        del tensors, array
        for view, copy in views:
            assert np.array_equal(view, copy, equal_nan=view.dtype.kind == "f")
        for block, place, content in worker:
            assert block[place].tobytes() == content
        Random(data.draw(st.integers(0, 9))).shuffle(views)
        del views[: data.draw(st.integers(0, len(views)), "let go")]
        for _ in range(data.draw(st.integers(0, len(worker)), "done with")):
            block, _, _ = worker.pop(data.draw(st.integers(0, len(worker) - 1)))
            block.used -= 1
    assert isinstance(builder.pools[""], Pool)
