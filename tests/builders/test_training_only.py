"""Targets are made for training only: what answers never asks for what it is to say."""

from __future__ import annotations

import numpy as np
import pytest

import perceptum as pc
from perceptum.builders import Filler, InputBuilder
from perceptum.features import Feature, Group, Params, Schema, SpecError, canonical


class TruthParams(Params, frozen=True, kw_only=True):
    """No parameters."""


class Truth(Filler):
    def fill(self, feature, out, written):
        out[:] = 1


GROUP = Group(
    params=TruthParams(),
    filler=Truth,
    features=(Feature(name="truth", dtypes=("float32",), shape=(2,), units="none", frame="none", target=True),),
)
SCHEMA = Schema("with_truth", "1.0.0", (*canonical().groups, GROUP))


def test_a_target_is_refused_unless_training_is_said():
    with pytest.raises(SpecError, match=r"input 'truth' is a target, .* InputBuilder\(..., training=True\)"):
        InputBuilder(["truth"], schema=SCHEMA)
    built = InputBuilder(["truth"], schema=SCHEMA, training=True).build(pc.open_log("synthetic", frames=1)[0])
    assert np.array_equal(built["truth"], [1, 1])


def test_a_target_is_no_input_of_a_package():
    with pytest.raises(SpecError, match=r"input 'truth' is a target, .* no input of one that is packed"):
        SCHEMA.record(SCHEMA.spec(["truth"]))


def test_what_is_a_target_is_said_in_the_schemas_json():
    again = SCHEMA.from_json(SCHEMA.to_json())
    assert again["truth"].target
    assert not again["lidar_points"].target
