"""Draw: equal draws make equal choices, and what one purpose draws disturbs no other."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptum.builders import Draw, Sample

WORDS = st.integers(0, 2**64 - 1)


@given(seed=WORDS, epoch=WORDS, index=WORDS, purpose=st.text())
def test_a_draw_says_the_same_again_after_any_way_of_carrying_it(seed, epoch, index, purpose):
    draw = Draw(seed, epoch, index)
    carried = pickle.loads(pickle.dumps(draw))
    assert carried == draw
    assert np.array_equal(draw.random(purpose).random(5), carried.random(purpose).random(5))


def test_another_seed_epoch_index_or_purpose_is_another_stream():
    draws = [Draw(0, 0, 0), Draw(1, 0, 0), Draw(0, 1, 0), Draw(0, 0, 1), Draw(2**64 - 1, 0, 0)]
    first = {draw.random(purpose).integers(2**63) for draw in draws for purpose in ("", "flip", "scale", "Flip")}
    assert len(first) == len(draws) * 4


def test_drawing_much_for_one_purpose_changes_nothing_for_another():
    draw = Draw(3, 1, 4)
    alone = draw.random("scale").random(3)
    draw.random("flip").random(100_000)
    assert np.array_equal(draw.random("scale").random(3), alone)


def test_neighbouring_samples_do_not_share_a_stretch_of_numbers():
    """Philox counts on from its start: streams that began one count apart would overlap."""
    streams = [Draw(0, 0, index).random(purpose).integers(2**63, size=500) for index in range(4) for purpose in "ab"]
    assert len(np.unique(np.concatenate(streams))) == 500 * 8


def test_the_numbers_are_the_same_on_every_machine_and_release():
    assert Draw(1, 2, 3).random("flip").bit_generator.random_raw(3).tolist() == [
        5136965252058760946,
        995946560786386829,
        10462969690340858464,
    ]


@pytest.mark.parametrize("bad", [-1, 2**64, 1.0, True, "1", None])
@pytest.mark.parametrize("name", ["seed", "epoch", "index"])
def test_what_is_not_a_word_is_refused_by_name(name, bad):
    values = {"seed": 0, "epoch": 0, "index": 0, name: bad}
    with pytest.raises(ValueError, match=f"^a draw's {name} must be an integer from 0 to 2\\*\\*64 - 1, got {bad!r}$"):
        Draw(**values)


def test_numpy_integers_are_integers():
    assert Draw(np.int64(1), np.uint8(2), np.int32(3)) == Draw(1, 2, 3)


def test_at_inference_there_is_no_draw():
    assert Sample(frame=None).draw is None
