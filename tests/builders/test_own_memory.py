"""Memory of others: a class of one's own, a model's allocator, another builder's pool. None of it costs a byte."""

from __future__ import annotations

import itertools
from random import Random

import numpy as np
import pytest

from perceptum.builders import InputBuilder, Lease, Pool, Written
from perceptum.features import canonical

from .keeper import Keeper
from .strangers import NAMES as STRANGERS
from .strangers import SCHEMA, truth

GRID = {"range": [-40, -40, -3, 40, 40, 3], "voxel": [1, 1, 1]}
PARAMS = {
    group: {"grid": GRID} for group in ("lidar_voxels", "lidar_bev_occupancy", "lidar_bev_stats", "lidar_bev_temporal")
}
PARAMS |= {"lidar_range_image": {"height": 8, "width": 64}}
# what builds do, whatever they make: the sensors' families stand for all
SENSORS = ("lidar", "radar", "camera", "ego_pose", "reference")
NAMES = [feature.name for feature in canonical() if feature.name.startswith(SENSORS)]
# a frame decides the sizes of pictures else, which cannot be stacked
PARAMS |= {"image": {"cameras": ["CAM_FRONT", "CAM_BACK"], "crop": [12, 20]}}


class Tight:
    """A model that gives what is asked for and not a page more."""

    def __init__(self, spec):
        self.inputs = [row.to_dict() for row in spec]

    def allocator(self, name, nbytes):
        raw = np.zeros(nbytes + 64, np.uint8)
        return memoryview(raw[-raw.ctypes.data % 64 :][:nbytes])


@pytest.fixture(scope="module")
def frames(frame_of, street):
    return [frame_of(street(n, seed=n)[:, :3], time_ns=1000 * n) for n in (900, 50, 700, 1, 0, 899)]


def everything(params=None, **options):
    return InputBuilder(NAMES, params={**PARAMS, **(params or {})}, **options)


def in_bytes(tensors):
    return {name: (array.shape, array.tobytes()) for name, array in tensors.items()}


@pytest.fixture(scope="module")
def single(frames):
    return [in_bytes(everything().build(frame)) for frame in frames]


@pytest.fixture(scope="module")
def batched(frames):
    """Batches of any two or three frames, each by a builder that has made nothing else."""
    return {
        picked: in_bytes(everything().build_batch([frames[k] for k in picked]))
        for picked in [*itertools.product(range(6), repeat=2), (0, 1, 2), (5, 4, 0), (3, 3, 3)]
    }


@pytest.mark.parametrize("writable", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_memory_of_ones_own_serves_builds_and_batches_in_any_order(frames, single, batched, writable, threads):
    builder, memory, random = everything(writable=writable, threads=threads), Keeper(), Random(0)
    for _ in range(60):
        if random.random() < 0.5:
            k = random.randrange(6)
            built, expected = builder.build(frames[k], into=memory), single[k]
        else:
            picked = random.choice(list(batched))
            built, expected = builder.build_batch([frames[k] for k in picked], into=memory), batched[picked]
        assert in_bytes(built) == expected
        if writable:
            for array in built.values():
                array.view(np.uint8)[...] = 0xA5


@pytest.mark.parametrize("source", ["own", "pool", "another builder's pool"])
def test_two_builders_that_lay_the_same_shape_out_differently_may_share_memory(frames, single, source):
    flipped = {"lidar_bev_stats": {"grid": GRID, "flip_x": True}, "lidar_bev_occupancy": {"grid": GRID, "flip_y": True}}
    one, other = everything(), everything(flipped)
    memory = {"own": Keeper(), "pool": Pool(), "another builder's pool": one.pool}[source]
    alone = [in_bytes(everything(flipped).build(frame)) for frame in frames]
    for k in Random(1).choices(range(6), k=30):
        assert in_bytes(other.build(frames[k], into=memory)) == alone[k]
        assert in_bytes(one.build(frames[k], into=None if source.endswith("pool") else memory)) == single[k]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_build_that_fails_half_way_leaves_no_trace_in_it(frames, single, batched, threads):
    builder, memory = everything(threads=threads), Keeper()

    def refuse(at):
        def ready(model, name, array):
            if name == at:
                raise LookupError(name)

        return ready

    for name in NAMES:
        with pytest.raises(LookupError):
            builder.build(frames[0], into=memory, on_ready=refuse(name))
        assert in_bytes(builder.build(frames[1], into=memory)) == single[1]
        assert in_bytes(builder.build(frames[2], into=memory)) == single[2]
        assert in_bytes(builder.build_batch([frames[0], frames[1]], into=memory)) == batched[0, 1]


def test_blocks_that_must_grow_lose_nothing(frames, batched):
    """What was copied into the larger block was taken for empty by the next batch there: old points in new voxels."""
    builder = InputBuilder(Tight(everything().spec))
    for picked in Random(2).choices(list(batched), k=80):
        assert in_bytes(builder.build_batch([frames[k] for k in picked])) == batched[picked]


@pytest.mark.parametrize("writable", [False, True])
def test_strangers_fillers_are_right_there_too(frames, writable):
    memory = Keeper()
    builder = InputBuilder(STRANGERS, schema=SCHEMA, writable=writable)
    for frame in Random(3).choices(frames, k=60):
        tensors = builder.build(frame, into=memory)
        for name in STRANGERS:
            assert np.array_equal(tensors[name], truth(name, frame)), name
            if writable:
                tensors[name][...] = 77


@pytest.mark.parametrize(
    "wrong",
    [
        lambda shape, dtype: np.zeros(shape, np.float64),
        lambda shape, dtype: np.zeros((shape[0], shape[1] + 1), dtype)[:, 1:],
        lambda shape, dtype: np.zeros((max(shape[0] - 1, 0), *shape[1:]), dtype),
        lambda shape, dtype: np.broadcast_to(np.float32(0), shape),
    ],
)
def test_memory_that_does_not_fit_is_refused_by_the_tensors_name(frames, wrong):
    class Memory:
        def take(self, name, shape, dtype):
            return Lease(wrong(shape, dtype), Written())

    with pytest.raises(
        ValueError, match=r"^the memory for 'lidar_points' must be \(900, 5\) float32, C-contiguous and "
    ):
        InputBuilder(["lidar_points"]).build(frames[0], into=Memory())


@pytest.mark.parametrize("batched", [False, True])
def test_memory_that_does_not_begin_right_is_refused_for_batches_too(frames, batched):
    """A batch's block went unchecked: TensorFlow ends the process on such a tensor."""

    class Shifted:
        def take(self, name, shape, dtype):
            raw = np.zeros(int(np.prod(shape)) * np.dtype(dtype).itemsize + 128, np.uint8)
            at = -raw.ctypes.data % 64 + 4
            return Lease(raw[at : at + raw.size - 128].view(dtype).reshape(shape), Written())

    builder = InputBuilder(["lidar_points"])
    with pytest.raises(ValueError, match=r"^the memory for 'lidar_points' must be .* at a multiple of 64 bytes, "):
        builder.build_batch(frames[:2], into=Shifted()) if batched else builder.build(frames[0], into=Shifted())
