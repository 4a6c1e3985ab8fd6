"""A number and what it counts; "a" or "an" before a word."""

from __future__ import annotations

import pytest

from perceptum.plural import a_or_an, counted


@pytest.mark.parametrize(
    ("number", "one", "said"),
    [
        (0, "frame", "0 frames"),
        (1, "broken record", "1 broken record"),
        (2, "broken record", "2 broken records"),
        (2, "box", "2 boxes"),
        (2, "pass", "2 passes"),
        (2, "switch", "2 switches"),
        (2, "category", "2 categories"),
        (2, "survey", "2 surveys"),
    ],
)
def test_one_is_spoken_of_as_one_and_others_as_many(number, one, said):
    assert counted(number, one) == said


def test_a_plural_that_follows_no_rule_is_given():
    assert counted(2, "axis", "axes") == "2 axes"
    assert counted(1, "axis", "axes") == "1 axis"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("int", "an int"),
        ("float32", "a float32"),
        ("int64", "an int64"),
        ("uint8", "a uint8"),
        ("ndarray", "an ndarray"),
        ("NoneType", "a NoneType"),
        ("OrderedDict", "an OrderedDict"),
        ("UnicodeError", "a UnicodeError"),
        ("onnx", "an onnx"),
        ("", "a "),
    ],
)
def test_a_word_from_elsewhere_has_its_article(word, said):
    assert a_or_an(word) == said
