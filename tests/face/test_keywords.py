"""A misspelled keyword is met with the nearest one that there is, or with all of them."""

from __future__ import annotations

import pickle

import pytest

import perceptum as pc
from perceptum.errors import BadOption
from perceptum.spelling import names_keywords


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: pc.InputBuilder(["ego_pose"], thread=2), "InputBuilder() has no argument 'thread'; did you mean "),
        (lambda: pc.Loader([], ["ego_pose"], batchsize=2), "Loader() has no argument 'batchsize'; did you mean "),
        (lambda: pc.evaluate("detection3d", [], [], worker=2), "evaluate() has no argument 'worker'; did you mean "),
        (lambda: pc.compare("a", "b", zzz=1), "compare() has no argument 'zzz'; it takes a, b, "),
        (lambda: pc.load_neuropod("m", isolated=True), "load_neuropod() has no argument 'isolated'; did you mean "),
        (lambda: pc.Pipeline(None, thread=2), "Pipeline() has no argument 'thread'; did you mean "),
        (lambda: pc.TensorCache(max_bytes=1), "TensorCache() has no argument 'max_bytes'; did you mean 'most_bytes'?"),
        (lambda: pc.Augment(rotation=0.1), "Augment() has no argument 'rotation'; did you mean 'rotate'?"),
        (lambda: pc.ImageColor(contrasts=0.1), "ImageColor() has no argument 'contrasts'; did you mean 'contrast'?"),
    ],
)
def test_an_unknown_keyword_is_met_with_what_there_is(call, said):
    with pytest.raises(TypeError) as error:
        call()
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    ("open_it", "said"),
    [
        (lambda: pc.open_log("synthetic", camera_tolerance=1), "; did you mean 'camera_tolerance_ns'?"),
        (lambda: pc.open_log("synthetic", frame=4), "synthetic: no option 'frame'; it takes frames, seed, "),
        (lambda: pc.open_dataset("synthetic", frame=4), "max_range_m, logs, split; did you mean 'frames'?"),
        (lambda: pc.open_dataset("synthetic", log=4), "; did you mean 'logs'?"),
        (lambda: pc.open_dataset("synthetic", splits="val"), "; did you mean 'split'?"),
        (lambda: pc.open_dataset("synthetic", most_open=4), "; did you mean 'most_open_logs'?"),
    ],
)
def test_an_unknown_option_of_a_log_may_be_meant_as_one_of_what_opens_it(open_it, said):
    with pytest.raises(BadOption) as error:
        open_it()
    assert said in str(error.value)


def test_a_keyword_for_python_is_no_option_on_the_command_line(refusal):
    status, said = refusal("info", "synthetic:camera_tolerance=1")
    assert status == 2
    assert said.endswith("; 'camera_tolerance_ns' is for Python alone")


def test_what_is_decorated_stays_what_it_was():
    @names_keywords
    def call(a, /, b, *, c=3):
        """Says so."""
        return a, b, c

    assert call(1, b=2) == (1, 2, 3)
    assert call.__doc__ == "Says so."
    # what may only be given by place is no keyword
    with pytest.raises(TypeError, match=r"call\(\) has no argument 'a'; "):
        call(a=1, b=2)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'b'"):
        call(1)
    change = pc.Augment(rotate=0.1)
    assert pickle.loads(pickle.dumps(change)) == change
