"""What others' code raises is our error, on one line that says what was wrong, wherever in the text that stands."""

import os
import signal
import sys

import pytest

from perceptum.builders.explain import _scratch_bytes
from perceptum.builders.lane import Wanted
from perceptum.cli.commands import app, run
from perceptum.features import SpecError
from perceptum.features.plug_ins import load_plug_in
from perceptum.foreign import foreign, said
from perceptum.neuropod.frameworks.incoming import as_numpy
from perceptum.testing.dataset_check import _read
from perceptum.testing.subject import Subject


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


def press():
    raise KeyboardInterrupt


def in_a_class():
    class Field:
        def __set_name__(self, owner, name):
            press()

    # Python's own: "Error calling __set_name__ on 'Field' instance 'field' in 'Owner'"
    type("Owner", (), {"field": Field()})


def as_its_cause():
    try:
        press()
    except KeyboardInterrupt as error:
        raise SpecError("ours, and wrong") from error


def while_handling_it():
    try:
        press()
    except BaseException:
        raise SystemExit(5)  # noqa: B904


def behind_two_others():
    try:
        as_its_cause()
    except SpecError as error:
        try:
            raise OSError("the second") from error
        except OSError:
            raise ValueError("the third")  # noqa: B904


def in_a_group():
    raise BaseExceptionGroup("tasks", [ValueError("one"), KeyboardInterrupt()])


def in_a_circle():
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    try:
        press()
    except KeyboardInterrupt as error:
        raise ExceptionGroup("both", [one, other]) from error


def where_it_says_what_it_is():
    class Pressed(Exception):
        def __str__(self):
            in_a_class()
            return ""

    raise Pressed


DISGUISES = (
    press,
    in_a_class,
    as_its_cause,
    while_handling_it,
    behind_two_others,
    in_a_group,
    in_a_circle,
    where_it_says_what_it_is,
)


@pytest.mark.parametrize("pressed", DISGUISES)
def test_an_interrupt_passes_the_door_whatever_was_made_of_it(pressed):
    """Ctrl-C while a class was made was RuntimeError: a traceback, with status 1."""
    with pytest.raises(KeyboardInterrupt), foreign("the plug-in", SpecError, OSError):
        pressed()


class Pressing:
    """A stage, the entry point of a plug-in, a tensor of a framework: whatever of others is asked, Ctrl-C comes."""

    __slots__ = ()
    found = None

    def load(self):
        in_a_class()

    @property
    def filler(self):
        return self

    def sizes(self):
        in_a_class()

    nbytes = __array_interface__ = property(load)


@pytest.mark.parametrize(
    "door",
    [
        lambda: load_plug_in(Pressing()),
        lambda: Wanted.own_sizes.fget(Pressing()),
        lambda: _scratch_bytes(Pressing()),
        lambda: as_numpy("x", Pressing()),
        lambda: _read(in_a_class, "the dataset"),
        lambda: Subject.attempt(None, in_a_class, "the feature"),
    ],
)
def test_every_door_lets_an_interrupt_pass(door):
    with pytest.raises(KeyboardInterrupt):
        door()


@pytest.mark.parametrize("pressed", DISGUISES[:-1])
def test_an_interrupt_leaves_a_command_whatever_was_made_of_it(monkeypatch, pressed):
    monkeypatch.setattr(sys, "argv", ["perceptum", "pressed"])
    commands = list(app.registered_commands)
    app.command("pressed")(pressed)
    try:
        # typer ends with 130 where it sees the interrupt itself
        with pytest.raises((KeyboardInterrupt, SystemExit)) as stopped:
            run()
    finally:
        app.registered_commands[:] = commands
    assert isinstance(stopped.value, KeyboardInterrupt) or stopped.value.code == 130


def test_an_exit_that_a_signal_asked_for_passes_the_door_whatever_was_made_of_it():
    def terminated():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except SystemExit as error:
            raise SpecError("ours, and wrong") from error

    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with pytest.raises(SystemExit) as stopped, foreign("the plug-in", SpecError):
            terminated()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert stopped.value.code == 143


def failing():
    with foreign("the plug-in", SpecError):
        raise ValueError("its own")


def quiet():
    try:
        press()
    except KeyboardInterrupt:
        raise ValueError("kept quiet") from None


def test_what_fails_after_an_interrupt_is_not_the_interrupt():
    """Who evaluates once more after Ctrl-C sees what goes wrong then."""
    try:
        press()
    except KeyboardInterrupt:
        with pytest.raises(SpecError, match="the plug-in: ValueError: its own"):
            failing()
    with pytest.raises(SpecError, match="the plug-in: ValueError: kept quiet"), foreign("the plug-in", SpecError):
        quiet()
