"""What a log remembers: bounded, made once, never pickled, nothing held that should have gone."""

import gc
import pickle
import random
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptum.inputs import Cache, LidarSweep, LogError
from perceptum.inputs.cache import nbytes_of

ENTRY = 1024


def kib(n):
    return np.zeros(n * 1024, np.uint8)


def keys(cache):
    return list(cache._kept._entries)


def test_what_was_made_is_kept_and_made_once():
    cache, made = Cache(10_000), []
    for _ in range(3):
        assert cache.get("a", lambda: made.append(1)) is None
    assert made == [1]
    assert (len(cache), cache.nbytes) == (1, ENTRY)
    assert repr(cache) == "<Cache 1 thing, 1024 of 10000 bytes>"
    cache.clear()
    assert (len(cache), cache.nbytes) == (0, 0)


def test_what_was_used_longest_ago_is_let_go_first():
    cache = Cache(4 * 3 * 1024)
    for key in "abc":
        cache.get(key, lambda: kib(3))
    cache.get("a", list)
    cache.get("d", lambda: kib(3))
    assert keys(cache) == ["c", "a", "d"]
    # one large thing takes the place of several
    cache.get("e", lambda: kib(7))
    assert keys(cache) == ["d", "e"]
    assert cache.nbytes <= cache.most_bytes


def test_what_is_larger_than_all_of_it_is_not_kept_and_pushes_nothing_out():
    cache = Cache(8 * 1024)
    cache.get("a", lambda: kib(1))
    assert len(cache.get("large", lambda: kib(8))) == 8 * 1024
    assert keys(cache) == ["a"]


def test_a_cache_of_no_bytes_keeps_nothing():
    cache, made = Cache(0), []
    for _ in range(2):
        cache.get("a", lambda: made.append(1))
    assert (len(made), len(cache)) == (2, 0)


def test_a_bound_below_nothing_is_refused():
    with pytest.raises(LogError, match=r"^cache_bytes must be 0 or more, got -1$"):
        Cache(-1)


def test_nothing_is_held_that_was_let_go_or_never_kept():
    class Thing:
        nbytes = 3000

    cache, alive = Cache(8192), []
    for key in range(10):
        thing = cache.get(key, Thing)
        alive.append(weakref.ref(thing))
        del thing
    assert [ref() is not None for ref in alive] == [False] * 8 + [True] * 2
    unkept = weakref.ref(Cache(0).get("a", Thing))
    assert unkept() is None
    # and a cache that nobody has goes at once, without the garbage collector
    gc.disable()
    try:
        del cache
        assert alive[-1]() is None
    finally:
        gc.enable()


def test_letting_go_may_run_code_that_asks_the_cache():
    cache, asked = Cache(5 * 1024), []

    class Asks:
        nbytes = 3 * 1024

        def __del__(self):
            asked.append(cache.get("small", lambda: 7))

    cache.get("a", Asks)
    cache.get("b", lambda: kib(3))
    assert asked == [7]


def test_a_cache_is_pickled_without_what_it_holds():
    cache = Cache(2**20)
    cache.get("a", lambda: kib(500))
    sent = pickle.dumps(cache)
    assert len(sent) < 200
    arrived = pickle.loads(sent)
    assert (len(arrived), arrived.most_bytes) == (0, 2**20)


@dataclass(frozen=True)
class Table:
    columns: dict
    name: str


def test_the_size_of_a_value_is_the_memory_that_it_keeps_alive():
    block = np.zeros((5, 100), np.float32)
    assert nbytes_of(block) == 2000
    # views of one array hold the whole of it, and hold it once
    assert nbytes_of(block[0, :3]) == 2000
    assert nbytes_of((block[0], block[1], {"z": block[2]})) - nbytes_of(((), {})) == 2000
    assert nbytes_of(np.frombuffer(bytes(64), np.uint8)) == 64
    assert 1000 < nbytes_of(bytes(1000)) < 1100
    assert nbytes_of(None) == 0
    assert nbytes_of(Table({"x": block}, "name")) - nbytes_of("name") == 2000
    x, y, z = np.zeros((3, 50), np.float32)
    sweep = LidarSweep("top", 0, np.eye(4), x, y, z, intensity=np.zeros(50, np.uint8))
    assert 600 + 50 + 128 + 24 <= nbytes_of(sweep) < 1100

    class Sized:
        nbytes = np.int64(77)

    assert nbytes_of([Sized(), Sized()]) == 154
    loop = [block]
    loop.append(loop)
    assert nbytes_of(loop) == 2000


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 6)), max_size=60))
def test_it_is_the_least_recently_used_that_fit(steps):
    cache, model = Cache(8 * 1024), {}
    for key, size in steps:
        if key in model:
            model[key] = model.pop(key)
        elif size + 1 <= 8:
            model[key] = size + 1
            while sum(model.values()) > 8:
                del model[next(iter(model))]
        cache.get(key, lambda size=size: kib(size))
        assert keys(cache) == list(model)
        assert cache.nbytes == 1024 * sum(model.values())


@pytest.mark.parametrize("most_bytes", [0, 6 * 1024, 2**20])
def test_many_threads_at_once_get_the_right_things_within_the_bound(most_bytes):
    cache, making, seen_twice = Cache(most_bytes), set(), []

    def make(key):
        if key in making:
            seen_twice.append(key)
        making.add(key)
        try:
            time.sleep(random.random() * 1e-4)
            if random.random() < 0.05:
                raise OSError
            # a maker asks for another thing
            if key % 3 == 0:
                cache.get(key + 1, lambda: make(key + 1))
            return np.full(1024, key % 251, np.uint8)
        finally:
            making.discard(key)

    def work(seed):
        chance = random.Random(seed)
        for _ in range(300):
            key = chance.randrange(40)
            try:
                found = cache.get(key, lambda key=key: make(key))
            except OSError:
                continue
            assert (found == key % 251).all()
            assert cache.nbytes <= most_bytes

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert seen_twice == []
    assert cache.nbytes == sum(size for _, size in cache._kept._entries.values())


def test_makers_of_different_things_run_side_by_side():
    cache, meeting = Cache(2**20), threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(lambda key: cache.get(key, lambda: meeting.wait(5)), "ab")) == [0, 1]
