"""Which frame comes where: a pure function of (seed, epoch, position)."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptum.inputs import Dataset
from perceptum.loading.order import EpochOrder, Share
from perceptum.loading.permutation import permuted


@given(size=st.integers(1, 300), seed=st.integers(0, 2**64 - 1), epoch=st.integers(0, 10**6))
def test_each_place_has_a_thing_of_its_own(size, seed, epoch):
    assert sorted(permuted(place, size, seed, epoch) for place in range(size)) == list(range(size))


def test_a_place_among_billions_is_found_at_once():
    assert 0 <= permuted(123_456_789_012, 10**12, 1, 2) < 10**12


def test_orders_stay_what_they_are():
    """A saved state counts positions: what comes at one must not change from one version to the next."""
    assert [permuted(place, 10, 7, 0) for place in range(10)] == ORDER_OF_TEN
    assert permuted(5, 1_000_000, 7, 3) == FIFTH_OF_A_MILLION


ORDER_OF_TEN = [1, 4, 6, 2, 5, 8, 7, 3, 9, 0]
FIFTH_OF_A_MILLION = 170404


def test_every_thing_comes_everywhere_equally_often():
    size, epochs = 7, 7000
    table = np.zeros((size, size))
    for epoch in range(epochs):
        for place in range(size):
            table[place, permuted(place, size, 3, epoch)] += 1
    expected = epochs / size
    # 36 degrees of freedom: one run in a hundred thousand is beyond 90
    assert ((table - expected) ** 2 / expected).sum() < 90


def test_neighbours_do_not_stay_neighbours():
    steps = Counter((permuted(p + 1, 1000, 5, 0) - permuted(p, 1000, 5, 0)) % 1000 for p in range(999))
    assert max(steps.values()) < 10


@given(
    total=st.integers(1, 60),
    world=st.integers(1, 7),
    batch_size=st.integers(1, 6),
    drop_last=st.booleans(),
    begun=st.integers(0, 60),
)
def test_ranks_share_an_epoch_in_parts_of_equal_length(total, world, batch_size, drop_last, begun):
    start = min(begun, total)
    shares = [Share(total, start, rank, world, batch_size, drop_last) for rank in range(world)]
    parts = [[list(share.batch(number)) for number in range(len(share))] for share in shares]
    assert len({len(part) for part in parts}) == 1
    assert all(list(map(len, part)) == list(map(len, parts[0])) for part in parts)
    taken = [position for part in parts for batch in part for position in batch]
    assert len(taken) == len(set(taken))
    if drop_last:
        assert set(taken) <= set(range(start, total))
        assert total - start - len(taken) < world * batch_size
    else:
        assert set(taken) >= set(range(start, total))
        assert len(taken) - (total - start) < world


@given(total=st.integers(1, 60), world=st.integers(1, 5), batch_size=st.integers(1, 6), batches=st.integers(0, 20))
def test_what_is_left_is_the_same_whoever_goes_on(total, world, batch_size, batches):
    """After some batches the rest is a run of positions: other ranks, other batches may share it."""
    first = [Share(total, 0, rank, world, batch_size, False) for rank in range(world)]
    batches = min(batches, len(first[0]))
    done = {p for share in first for number in range(batches) for p in share.batch(number)}
    start = first[0].after(batches)
    assert done == set(range(start))
    rest = Share(total, start, 0, 1, 3, False)
    assert [p for number in range(len(rest)) for p in rest.batch(number)] == list(range(start, total))


def test_without_a_seed_frames_come_as_they_were_recorded(small_log):
    order = EpochOrder(Dataset.of(small_log(5)), None)
    assert [order.frame(3, position) for position in range(7)] == [0, 1, 2, 3, 4, 0, 1]


def test_weights_say_how_often_each_part_is_drawn(small_log):
    mixed = Dataset.concat([small_log(8), small_log(2)], weights=(0.5, 0.5))
    order = EpochOrder(mixed, 4)
    drawn = Counter(order.frame(epoch, position) for epoch in range(8) for position in range(len(order)))
    assert sum(drawn[index] for index in range(8)) == sum(drawn[index] for index in (8, 9)) == 40
    assert {drawn[index] for index in range(8)} == {5}


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_smallest_datasets_are_shuffled_too(size):
    orders = {tuple(permuted(place, size, 0, epoch) for place in range(size)) for epoch in range(200)}
    assert len(orders) == [1, 1, 2, 6][size]
