"""What others' code raises is our error, on one line that says what was wrong, wherever in the text that stands."""

import pytest

from perceptum.features import SpecError
from perceptum.foreign import foreign, said


class Mute(Exception):
    def __str__(self):
        raise SystemExit(3)


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (ValueError("plain"), "ValueError: plain"),
        (ValueError(), "ValueError"),
        (SystemExit(3), "SystemExit: 3"),
        (Mute(), "Mute: its message cannot be shown"),
        (ValueError("the first line\n  and the second"), "ValueError: the first line and the second"),
        (ValueError("\x1b[1mbold\x1b[0m"), "ValueError: bold"),
        # TensorFlow's tracer
        (
            TypeError('in user code:\n\n    File "a.py", line 3, in f  *\n        g(x)\n\n    ValueError: the cause\n'),
            "TypeError: ValueError: the cause",
        ),
        # TorchScript's interpreter
        (
            RuntimeError(
                "The following operation failed in the TorchScript interpreter.\nTraceback of TorchScript (most recent "
                'call last):\n  File "a.py", line 4, in forward\n    return x\n    ~~~ <--- HERE\nRuntimeError: too '
                "few\nrows"
            ),
            "RuntimeError: too few rows",
        ),
        # torch, of a file
        (RuntimeError("not a zip\nException raised from f at a.cpp:3\nframe #0: g"), "RuntimeError: not a zip"),
        # two lines, of which the second is the useful one
        (
            Exception("Weights only load failed.\n\tUnsupported global: GLOBAL a.b"),
            "Exception: Weights only load failed. Unsupported global: GLOBAL a.b",
        ),
        # all of it is about where: then that is better than nothing
        (RuntimeError('File "a.py", line 3'), 'RuntimeError: File "a.py", line 3'),
    ],
)
def test_an_error_is_one_line_that_says_what_was_wrong(error, wanted):
    assert said(error) == wanted


def test_a_page_loses_its_middle_and_keeps_its_end():
    text = said(ValueError("a" * 1000 + " at last, why"))
    assert text.endswith("at last, why")
    assert len(text) < 500


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1), GeneratorExit(), StopIteration(), Mute()])
def test_whatever_is_raised_leaves_as_our_error_with_its_cause(error):
    with pytest.raises(SpecError, match=r"^the plug-in: ") as raised, foreign("the plug-in", SpecError):
        raise error
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SpecError("ours"), OSError("its own")])
def test_an_interrupt_and_our_own_errors_leave_as_they_are(error):
    with pytest.raises(type(error)) as raised, foreign("the plug-in", SpecError, OSError):
        raise error
    assert raised.value is error
