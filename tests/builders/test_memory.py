"""Invariants 4 and 5: tensors are aligned and yours; their memory comes back when the last view dies."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from ctypes import addressof, c_char
from pathlib import Path
from resource import getpagesize

import numpy as np
import pytest

from perceptum.builders import InputBuilder, Pool
from perceptum.builders.pages import allocate_pages
from perceptum.features import canonical

# what builds do, whatever they make: the sensors' families stand for all
SENSORS = ("lidar", "radar", "camera", "ego_pose", "reference")
NAMES = [feature.name for feature in canonical() if feature.name.startswith(SENSORS)]
SMALL = {"range": [-40, -40, -3, 40, 40, 3], "voxel": [2, 2, 2]}
PARAMS = {
    "lidar_voxels": {"grid": SMALL},
    "lidar_bev_occupancy": {"grid": SMALL},
    "lidar_bev_stats": {"grid": SMALL},
    "lidar_bev_temporal": {"grid": SMALL, "num_sweeps": 2},
    "lidar_range_image": {"height": 8, "width": 64},
}
# a frame decides the sizes of pictures else, which cannot be stacked
PARAMS |= {"image": {"cameras": ["CAM_FRONT", "CAM_BACK"], "crop": [12, 20]}}


@pytest.fixture(scope="module")
def frames(frame_of, street):
    return [frame_of(street(n, seed=n)[:, :3]) for n in (400, 20, 350, 0, 399)]


def everything(**options):
    return InputBuilder(NAMES, params=PARAMS, **options)


@pytest.mark.parametrize("writable", [False, True])
def test_every_tensor_starts_at_a_multiple_of_64_bytes(frames, writable):
    builder = everything(writable=writable)
    held = [builder.build(frame) for frame in frames] + [builder.build_batch(frames[:k]) for k in (1, 3, 5)]
    for tensors in held:
        for name, array in tensors.items():
            assert array.ctypes.data % 64 == 0, name
            assert array.flags.c_contiguous, name


@pytest.mark.parametrize("writable", [False, True])
def test_tensors_are_read_only_unless_the_builder_was_told_otherwise(frames, writable):
    builder = everything(writable=writable)
    for tensors in (builder.build(frames[0]), builder.build_batch(frames)):
        assert {array.flags.writeable for array in tensors.values()} == {writable}


def test_fifty_frames_held_at_once_are_never_overwritten(frame_of, street):
    builder = everything()
    held, copies = [], []
    for k in range(50):
        held.append(builder.build(frame_of(street(100 + 7 * (k % 9), seed=k)[:, :3])))
        copies.append({name: array.copy() for name, array in held[-1].items()})
    for tensors, kept in zip(held, copies, strict=True):
        assert all(np.array_equal(tensors[name], kept[name]) for name in NAMES)
    assert len({array.ctypes.data for tensors in held for array in tensors.values()}) == 50 * len(NAMES)


def views_of(array):
    """Everything that may outlive the array and still show its memory."""
    torch = pytest.importorskip("torch")
    yield array[1:3]
    yield array.T[::-1][:1]
    yield array.view(np.uint8)
    yield array.reshape(-1)[2:].reshape(1, -1)
    yield memoryview(array)
    yield np.frombuffer(array, np.float32)
    yield np.asarray(array)[..., None]
    yield torch.from_numpy(array)
    yield torch.from_numpy(array)[1:, 2]
    yield torch.from_dlpack(array)
    yield np.from_dlpack(array)
    yield iter(array)


@pytest.mark.parametrize("kind", range(12))
def test_a_buffer_stays_away_as_long_as_any_view_of_it_lives(frames, kind):
    builder = InputBuilder(["lidar_points"], writable=True)
    array = builder.build(frames[0])["lidar_points"]
    address, expected = array.ctypes.data, array.copy()
    view = list(views_of(array))[kind]
    del array
    gc.collect()
    for frame in frames:
        builder.build(frame)
    assert builder.build(frames[0])["lidar_points"].ctypes.data != address
    assert np.array_equal(np.frombuffer((c_char * expected.nbytes).from_address(address), np.float32), expected.ravel())
    del view
    gc.collect()
    assert address in {array["lidar_points"].ctypes.data for array in [builder.build(frames[0]) for _ in range(3)]}


@pytest.mark.parametrize("memory", [bytearray, lambda n: np.zeros(n, np.uint8), lambda n: memoryview(bytearray(n))])
def test_views_keep_memory_of_any_kind_that_the_model_owns(frames, memory):
    """numpy skips arrays in a chain of views; with an allocator that gives arrays the root died too early."""

    class Model:
        inputs = ({"name": "lidar_points", "dtype": "float32", "shape": ["n", 5]},)

        def __init__(self):
            self.given = []

        def allocator(self, name, nbytes):
            raw = memory(nbytes + 64)
            start = -addressof(c_char.from_buffer(raw)) % 64
            self.given.append((name, raw))
            return raw[start : start + nbytes] if not isinstance(raw, bytearray) else memoryview(raw)[start:][:nbytes]

    model = Model()
    builder = InputBuilder(model)
    row = builder.build(frames[0])["lidar_points"][10:20]
    kept = row.copy()
    for frame in frames:
        builder.build(frame)
    assert np.array_equal(row, kept)
    first = np.frombuffer(model.given[0][1], np.uint8)
    assert np.shares_memory(row, first)
    assert {name for name, _ in model.given} == {"lidar_points"}


def aligned(nbytes):
    raw = np.zeros(nbytes + 64, np.uint8)
    return raw[-raw.ctypes.data % 64 :][:nbytes]


@pytest.mark.parametrize("memory", [lambda n: aligned(n + 1)[1:], lambda n: memoryview(aligned(n)).toreadonly()])
def test_memory_that_is_not_aligned_or_not_writable_is_refused(memory):
    with pytest.raises(ValueError, match=r"^the memory for 'a' must be writable and aligned to 64 bytes$"):
        Pool(lambda name, nbytes: memory(nbytes)).take("a", (5,), np.uint8)


@pytest.mark.parametrize("nbytes", [2**50, 2**62])
def test_memory_that_cannot_be_had_names_the_tensor(nbytes):
    with pytest.raises(MemoryError, match=r"^no memory for 'lidar_points', which needs \d+ bytes \("):
        allocate_pages("lidar_points", nbytes)


def test_a_collection_while_tensors_are_held_loses_no_buffer(frames):
    """Buffers known only to their own callback were garbage to the collector, and never came back."""
    builder = everything()
    for _ in range(4):
        tensors = builder.build(frames[0])
        gc.collect()
        assert len(tensors) == len(NAMES)
        del tensors
    small = builder.plan.layouts[""].places
    assert builder.pool.allocated == len(NAMES) - len(small) + 1


@pytest.mark.parametrize("threads", [1, 2])
def test_after_warm_up_no_tensor_memory_is_allocated(frames, threads):
    builder = everything(threads=threads)
    builder.build(frames[0])
    builder.build_batch(frames[:1] * 4)
    made = builder.pool.allocated
    for k in range(200):
        builder.build(frames[k % 5])
        if k % 20 == 0:
            builder.build_batch([frames[0], frames[k % 5], frames[1], frames[3]])
    assert builder.pool.allocated == made


def test_several_frames_may_be_held_without_new_memory_per_frame(frames):
    builder, held = everything(), []
    for k in range(40):
        held.append(builder.build(frames[0]))
        del held[:-6]
        if k == 10:
            made = builder.pool.allocated
    assert builder.pool.allocated == made


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize()


@pytest.mark.slow
@pytest.mark.parametrize(("threads", "count"), [(1, 4_000), (2, 1_000)])
def test_thousands_of_frames_of_varying_size_allocate_nothing_and_stay_flat(frame_of, street, threads, count):
    random = np.random.default_rng(threads)
    frames = [frame_of(street(int(n), seed=k)[:, :3]) for k, n in enumerate(random.integers(0, 500, 40))]
    builder = everything(threads=threads)
    for frame in frames * 10:
        tensors = builder.build(frame)
    made, before = builder.pool.allocated, resident_bytes()
    for k in range(count):
        # the frame before is still held, as in any loop
        tensors = builder.build(frames[random.integers(40)])
        assert len(tensors) == len(NAMES), k
    assert builder.pool.allocated == made
    assert resident_bytes() - before < 2 * 2**20


def test_python_keeps_nothing_of_the_frames_that_have_passed(frame_of, street):
    builder = everything()
    cloud = street(200)[:, :3]
    # what is kept once, as free lists, is there by then
    for _ in range(200):
        builder.build(frame_of(cloud))
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(200):
        builder.build(frame_of(cloud))
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    # two hundred frames would be half a megabyte
    assert grown < 100_000


@pytest.mark.parametrize("threads", [1, 2])
def test_a_lane_that_waits_keeps_no_frame_alive(frame_of, street, threads):
    builder, frame = everything(threads=threads), frame_of(street(200)[:, :3])
    builder.build(frame)
    builder.build_batch([frame, frame])
    gone = weakref.ref(frame)
    del frame
    gc.collect()
    assert gone() is None


def test_memory_goes_back_to_the_system_with_its_builder(frames):
    builder = everything()
    tensors = builder.build(frames[0])
    kept = {name: array.copy() for name, array in tensors.items()}
    del builder
    gc.collect()
    assert all(np.array_equal(tensors[name], kept[name]) for name in NAMES)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("held", [False, True])
def test_a_builder_goes_at_once_and_not_when_the_collector_comes_by(frames, threads, held):
    """A lane's scratch may be a hundred megabytes, of which the collector counts three objects."""
    gc.collect()
    gc.disable()
    try:
        builder = everything(threads=threads)
        tensors = builder.build(frames[0])
        builder.build_batch(frames[:2])
        gone = [weakref.ref(what) for what in (builder.pool, builder._lanes[0], *builder._lanes[0].stages)]
        kept = {name: array.copy() for name, array in tensors.items()}
        if not held:
            del tensors
        del builder
        assert [what() for what in gone] == [None] * len(gone)
        if held:
            assert all(np.array_equal(tensors[name], kept[name]) for name in NAMES)
    finally:
        gc.enable()


def test_the_hash_table_is_kept_when_clouds_grow_and_shrink(frame_of, street):
    """It was made again whenever the number of points passed a power of two."""
    grid = {"range": [-51.2, -51.2, -5, 51.2, 51.2, 3], "voxel": [0.1, 0.1, 0.2]}
    builder = InputBuilder(["lidar_voxels"], params={"lidar_voxels": {"grid": grid}})
    large, small = frame_of(street(3000)[:, :3]), frame_of(street(500)[:, :3])
    builder.build(large)
    scratch = builder.explain().stages[-1].scratch_bytes
    for frame in (small, large, small):
        builder.build(frame)
        assert builder.explain().stages[-1].scratch_bytes == scratch
