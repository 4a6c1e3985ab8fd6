"""The pool: memory by tensor, bounded by bytes, given back from any thread at any moment."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from perceptum.builders import InputBuilder, Pool
from perceptum.builders.pages import allocate_pages

MIB = 2**20


def begin(lease, layout="a", doubtful=False):
    return lease.written.begin(lease.array, layout, doubtful)


def test_memory_that_nobody_uses_is_bounded_by_bytes_and_the_oldest_goes_first():
    pool = Pool(keep_bytes=5 * MIB)
    held = [pool.take(f"t{k}", (MIB,), np.uint8) for k in range(12)]
    for lease in held:
        begin(lease)
    held = [lease.array for lease in held]
    del lease
    addresses = [array.ctypes.data for array in held]
    assert pool.kept_bytes == 0
    while held:
        del held[0]
    assert pool.kept_bytes == 5 * MIB
    made = pool.allocated
    again = [pool.take(f"t{k}", (MIB,), np.uint8).array for k in range(7, 12)]
    assert pool.allocated == made
    assert [array.ctypes.data for array in again] == addresses[7:]
    assert pool.kept_bytes == 0
    pool.take("t0", (MIB,), np.uint8)
    assert pool.allocated == made + 1


def test_a_builder_that_held_many_frames_lets_go_of_what_is_over_the_bound(frame_of, street):
    builder = InputBuilder(["lidar_bev_occupancy"])
    builder.pools[""] = pool = Pool(keep_bytes=100 * MIB)
    frame = frame_of(street(50)[:, :3])
    held = [builder.build(frame) for _ in range(10)]
    assert pool.allocated == 10
    held.clear()
    assert 0 < pool.kept_bytes <= 100 * MIB


def test_what_one_layout_wrote_is_not_there_for_another():
    """What `written` says of rows was believed for rows of another length, of another dtype, of another's making."""
    pool = Pool()
    for shape, dtype in [((4, 6), np.float32), ((4, 3), np.float32), ((6, 3), np.int16), ((2,), np.float64)]:
        lease = pool.take("a", shape, dtype)
        assert begin(lease, (shape[1:], dtype))
        assert not lease.array.any()
        assert lease.written.rows == lease.written.count == 0
        lease.array[...] = 7
        lease.written.rows = shape[0]
        lease.written.settle()
        del lease


@pytest.mark.parametrize("settled", [False, True])
def test_memory_that_was_not_settled_is_cleared_as_far_as_it_is_used(settled):
    pool = Pool()
    lease = pool.take("a", (1000,), np.uint8)
    address = lease.array.ctypes.data
    assert begin(lease)
    lease.array[:] = 3
    if settled:
        lease.written.settle()
    del lease
    for size, clean in [(400, True), (100, False), (700, False), (1000, False)]:
        lease = pool.take("a", (size,), np.uint8)
        assert lease.array.ctypes.data == address
        assert begin(lease, doubtful=settled and size == 400) == clean
        assert not lease.array.any(), size
        lease.written.settle()
        del lease


def test_a_tensor_that_dies_while_its_thread_holds_the_lock_comes_back_later():
    """A weak reference's callback runs at any line, also between the lines of `take`."""
    pool = Pool()
    lease = pool.take("a", (8,), np.uint8)
    begin(lease)
    with pool._lock:
        del lease
        gc.collect()
        assert pool._kept_bytes == 0
    other = pool.take("b", (8,), np.uint8).array
    assert other.size == pool.kept_bytes == 8


def test_many_threads_take_and_give_back(frame_of):
    pool, failed = Pool(keep_bytes=MIB), []

    def work(seed):
        random, held = np.random.default_rng(seed), []
        for _ in range(400):
            array, written = pool.take(f"t{random.integers(3)}", (int(random.integers(1, 3000)),), np.int32)
            written.begin(array, "a")
            array[:] = seed
            written.settle()
            held.append(array)
            if len(held) > 5:
                one = held.pop(int(random.integers(5)))
                if (one != seed).any():
                    failed.append(seed)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(work, range(1, 7)))
    gc.collect()
    pool.take("t0", (1,), np.int32)
    assert not failed
    assert 0 < pool.kept_bytes <= MIB
    assert not pool._lent or len(pool._lent) == 1
    assert threading.active_count() < 50


def test_room_that_is_not_to_be_had_is_done_without(monkeypatch):
    def small(name, nbytes):
        if nbytes > MIB:
            raise MemoryError(name)
        return allocate_pages(name, nbytes)

    monkeypatch.setattr("perceptum.builders.pool.allocate_pages", small)
    pool = Pool(small)
    assert len(pool.take_block("a", "joined", (10, 4), np.float32, 64 * MIB).array) >= 10


@pytest.mark.parametrize("nbytes", [1, 4096, 5 * MIB])
def test_memory_is_zero_and_aligned_to_pages(nbytes):
    array = np.frombuffer(allocate_pages("a", nbytes), np.uint8)
    assert not array.any()
    assert array.ctypes.data % 4096 == 0


class Shared(np.ndarray):
    """Memory that others use as long as they say."""

    is_used = False
    asked = 0

    def in_use(self):
        self.asked += 1
        return bool(self.is_used)


class Owner:
    """Gives memory of that kind, and remembers it."""

    def __init__(self):
        self.given = []

    def __call__(self, name, nbytes):
        block = np.frombuffer(allocate_pages(name, nbytes), np.uint8).view(Shared)
        self.given.append(weakref.ref(block))
        return block


def filled(pool, name="a", size=1000):
    lease = pool.take(name, (size,), np.uint8)
    begin(lease)
    lease.written.settle()
    return lease.array


def test_memory_that_others_still_use_is_passed_over_and_lent_again_when_they_are_done():
    pool = Pool(owner := Owner())
    first = filled(pool).ctypes.data
    block = owner.given[0]()
    block.is_used = True
    second = filled(pool).ctypes.data
    assert (pool.allocated, second == first) == (2, False)
    # the second is free all the time, and none is made beside it
    assert [filled(pool).ctypes.data for _ in range(3)] == [second] * 3
    block.is_used = False
    held = [filled(pool) for _ in range(2)]
    assert {array.ctypes.data for array in held} == {first, second}
    assert pool.allocated == 2


def test_what_others_use_for_ever_is_kept_within_the_bound_and_then_is_its_owners():
    pool = Pool(owner := Owner(), keep_bytes=10 * MIB)
    for _ in range(30):
        filled(pool, size=MIB)
        owner.given[-1]().is_used = True
        assert pool.kept_bytes <= 10 * MIB
    gc.collect()
    assert sum(block() is not None for block in owner.given) == 10


def test_memory_whose_owner_cannot_say_is_not_asked_for_again():
    class NotTold(int):
        def __bool__(self):
            raise LookupError

    pool = Pool(owner := Owner())
    filled(pool)
    owner.given[0]().is_used = NotTold()
    with pytest.raises(LookupError):
        pool.take("a", (1000,), np.uint8)
    gc.collect()
    assert owner.given[0]() is None
    filled(pool)
    assert (pool.allocated, pool.kept_bytes) == (2, 1000)


def test_memory_that_is_too_small_goes_when_nobody_uses_it():
    pool = Pool(owner := Owner())
    filled(pool, size=1000)
    owner.given[0]().is_used = True
    filled(pool, size=100_000)
    assert owner.given[0]() is not None
    owner.given[0]().is_used = False
    held = [filled(pool, size=100_000) for _ in range(2)]
    gc.collect()
    assert (owner.given[0](), pool.allocated) == (None, 3)
    del held


def test_nobody_is_asked_of_memory_that_a_tensor_lies_in():
    pool = Pool(owner := Owner())
    held = [filled(pool) for _ in range(3)]
    assert [block().asked for block in owner.given] == [0, 0, 0]
    del held
    filled(pool)
    assert sum(block().asked for block in owner.given) == 1
