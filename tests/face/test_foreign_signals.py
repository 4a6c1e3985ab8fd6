"""Code of others may not end the process; a signal's handler may, whatever code ran at that moment."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from perceptum.foreign import foreign
from perceptum.inputs import LogError


@pytest.fixture
def handler():
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    yield
    signal.signal(signal.SIGTERM, before)


def terminated():
    os.kill(os.getpid(), signal.SIGTERM)
    sys.exit(1)


@pytest.mark.parametrize(
    "door", [lambda: foreign("a model failed", ValueError), lambda: foreign("a dataset", LogError)]
)
def test_the_exit_of_a_signals_handler_passes_the_door(handler, door):
    with pytest.raises(SystemExit) as stopped, door():
        terminated()
    assert stopped.value.code == 143


@pytest.mark.parametrize(
    ("door", "kind"),
    [(lambda: foreign("a model failed", ValueError), ValueError), (lambda: foreign("a dataset", LogError), LogError)],
)
def test_an_exit_of_their_own_does_not(handler, door, kind):
    with pytest.raises(kind, match="SystemExit: 5"), door():
        sys.exit(5)
