"""Memory of files that are read whole: used again, but never while somebody looks at it."""

import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from perceptum.inputs.recycled import Recycled


def address(array):
    return array.__array_interface__["data"][0]


def test_memory_is_taken_again_once_the_last_view_of_it_is_gone():
    memory = Recycled(2**20)
    array = memory.take(700_000)
    where, view = address(array), array[5:].view("u1").reshape(-1, 5)[:, 0]
    del array
    other = memory.take(700_000)
    assert address(other) != where
    del view
    assert address(memory.take(690_000)) == where


def test_no_more_is_kept_than_was_said():
    memory = Recycled(100_000)
    arrays = [memory.take(40_000) for _ in range(4)]
    del arrays
    assert memory.kept_bytes <= 100_000
    assert Recycled(0).kept_bytes == 0


@given(sizes=st.lists(st.integers(0, 2**20), max_size=12))
def test_every_size_is_given_and_hardly_more_is_used(sizes):
    memory = Recycled(2**30)
    held = []
    for n in sizes:
        array = memory.take(n)
        array[:] = len(held)
        held.append(array)
        assert (array.shape, array.dtype) == ((n,), np.uint8)
    for k, array in enumerate(held):
        assert (array == k).all()
    array = None
    held.clear()
    assert memory.kept_bytes <= sum(max(n * 1.125, 0) + 4096 for n in sizes)


def test_threads_never_get_the_same_memory():
    memory = Recycled(2**24)

    def work(number):
        for _ in range(300):
            array = memory.take(5000)
            array[:] = number
            assert (array == number).all()
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))
    gc.collect()


def test_what_died_does_not_hold_memory_without_bound():
    """It is freed in the next call only: what is lent beyond some times of what is kept is numpy's own."""
    memory = Recycled(2**20)
    arrays = [memory.take(2**20) for _ in range(20)]
    assert sum(array.base is not None for array in arrays) == 4
    del arrays
    assert memory.take(2**20).base is not None
