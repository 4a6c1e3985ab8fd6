"""A filler written by a stranger can be slow, never wrong; what it declares is kept, also in batches."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from perceptum.builders import Draw, InputBuilder
from perceptum.features import SpecError

from .strangers import NAMES, SCHEMA, truth

RAGGED = {"acme_nodes", "acme_edges", "acme_rows", "acme_stacked"}
BATCHED = [name for name in NAMES if name != "acme_stacked"]


@pytest.fixture(scope="module")
def frames(frame_of):
    return [frame_of(np.zeros((1, 3)), time_ns=1000 * k) for k in range(1, 30)]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("writable", [False, True])
def test_a_filler_that_writes_sparsely_gives_right_tensors_in_used_memory(frames, threads, writable):
    builder, random, held = InputBuilder(NAMES, schema=SCHEMA, threads=threads, writable=writable), Random(0), []
    for _ in range(120):
        frame = random.choice(frames)
        tensors = builder.build(frame)
        for name in NAMES:
            expected = truth(name, frame)
            assert tensors[name].dtype == expected.dtype
            assert np.array_equal(tensors[name], expected), name
        if writable:
            for array in tensors.values():
                array[...] = 77
        held = [*held[-2:], tensors]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("writable", [False, True])
def test_batches_obey_axis_offset_and_fill(frames, threads, writable):
    builder, random = InputBuilder(BATCHED, schema=SCHEMA, threads=threads, writable=writable), Random(1)
    for size in (1, 4, 2, 6, 6, 3, 1, 5) * 3:
        picked = random.choices(frames, k=size)
        batch = builder.build_batch(picked)
        single = {name: [truth(name, frame) for frame in picked] for name in BATCHED}
        nodes = np.cumsum([0, *(len(own) for own in single["acme_nodes"])])
        edges = [own + start for own, start in zip(single["acme_edges"], nodes, strict=False)]
        assert np.array_equal(batch["acme_edges"], np.concatenate(edges, axis=1))
        assert batch["acme_graph_batch_ptr"].tolist() == nodes.tolist()
        starts = np.cumsum([0, *(own.shape[1] for own in edges)])
        assert batch["acme_edges_batch_ptr"].tolist() == starts.tolist()
        for name in BATCHED:
            if name in RAGGED - {"acme_edges"}:
                assert np.array_equal(batch[name], np.concatenate(single[name])), name
            elif name not in RAGGED:
                assert np.array_equal(batch[name], np.stack(single[name])), name
        for array in batch.values():
            assert array.flags.c_contiguous
            assert array.ctypes.data % 64 == 0
            if writable:
                array[...] = 77


def test_edges_alone_are_offset_by_the_nodes_that_nobody_asked_for(frames):
    batch = InputBuilder(["acme_edges"], schema=SCHEMA).build_batch(frames[2:5])
    sizes = np.array([frame.time_ns // 1000 % 7 for frame in frames[2:5]])
    starts = np.cumsum([0, *sizes[:-1]])
    expected = [np.stack([np.arange(n - 1), np.arange(1, n)]) + s for n, s in zip(sizes, starts, strict=True)]
    assert np.array_equal(batch["acme_edges"], np.concatenate(expected, axis=1))


def test_two_edge_lists_of_three_and_five_are_one_of_eight(frames):
    """They became a (4, 3), silently: joined along the first axis and cut."""
    three, five = frames[3], frames[5]
    batch = InputBuilder(["acme_edges", "acme_nodes"], schema=SCHEMA).build_batch([three, five])
    assert batch["acme_edges"].shape == (2, 8)
    assert batch["acme_edges"].tolist() == [[0, 1, 2, 4, 5, 6, 7, 8], [1, 2, 3, 5, 6, 7, 8, 9]]


def test_what_cannot_be_joined_is_refused_with_the_size_and_what_to_do(frames):
    builder = InputBuilder(["acme_stacked"], schema=SCHEMA)
    builder.build(frames[0])
    with pytest.raises(SpecError) as error:
        builder.build_batch(frames[:2])
    assert str(error.value) == (
        "'acme_stacked' cannot be stacked into a batch: a frame decides its size 'num_sparse'; fix it in the spec"
    )


def test_a_draw_reaches_every_stage_and_nothing_else_is_random(frames):
    builder = InputBuilder(["acme_noise", "acme_zeros"], schema=SCHEMA)
    draws = [Draw(0, epoch, index) for epoch in range(2) for index in range(3)]
    built = [builder.build(frames[0], draw=draw)["acme_noise"].copy() for draw in draws]
    assert len({array.tobytes() for array in built}) == len(draws)
    for draw, array in zip(reversed(draws), reversed(built), strict=True):
        assert np.array_equal(builder.build(frames[3], draw=draw)["acme_noise"], array)
    assert not builder.build(frames[0])["acme_noise"].any()
    batch = builder.build_batch(frames[:6], draws=draws)
    assert np.array_equal(batch["acme_noise"], np.stack(built))
    with pytest.raises(ValueError, match=r"^a batch of 2 frames needs as many draws, got 1$"):
        builder.build_batch(frames[:2], draws=draws[:1])
