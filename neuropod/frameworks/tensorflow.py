"""TensorFlow: its import, without the lines it writes to the terminal on its way, and tensors on numpy's memory."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

from perceptum.install import install_command

from ..errors import NeuropodError
from .handoff import private_copy, refuse_text, why_copied, writable_alias
from .strings import is_string, to_list

__all__ = ["LOG_LEVEL", "as_tensorflow", "import_tensorflow", "to_native"]

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_NOISE = re.compile(
    rb"^(I\d{4} |WARNING: All log messages before absl|To enable the following instructions:).*\n?"
    # TensorFlow brings requests, which warns of versions beside it that it has not seen; a second line shows the source
    rb"|^.*: RequestsDependencyWarning: .*\n?( .*\n?)?",
    re.MULTILINE,
)


def import_tensorflow() -> Any:
    """Returns the module. Where the user has imported it, or has set the log level, nothing is changed."""
    if "tensorflow" in sys.modules or LOG_LEVEL in os.environ:
        return _import()
    os.environ[LOG_LEVEL] = "3"  # read once, by TensorFlow's own start
    try:
        with _without_noise():
            return _import()
    finally:
        del os.environ[LOG_LEVEL]


def as_tensorflow(array: NDArray[Any]) -> Any:
    """Returns an eager tf.Tensor on the array's own memory, or on an aligned copy where `why_copied` has a reason."""
    tf = import_tensorflow()
    refuse_text(array, "tensorflow")
    alias = writable_alias(array) if why_copied(array, aligned=True) is None else None
    return tf.experimental.dlpack.from_dlpack((private_copy(array) if alias is None else alias).__dlpack__())


def to_native(array: NDArray[Any]) -> Any:
    """Returns an output of a model as an eager tensor: on the same memory, or of copied strings."""
    if not is_string(array):
        return as_tensorflow(array)
    return import_tensorflow().constant(to_list(array), shape=array.shape, dtype="string")


def _import() -> Any:
    try:
        import tensorflow as tf
    except ImportError as error:
        raise NeuropodError(f"running TensorFlow needs tensorflow: {install_command('tensorflow')}") from error
    return tf


@contextmanager
def _without_noise() -> Iterator[None]:
    """Holds back what is written to stderr and passes on all but the known noise: absl heeds no level at its start."""
    try:
        real = os.dup(2)
    except OSError:  # a process without a stderr
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(real, 2)
            held.seek(0)
            os.write(real, _NOISE.sub(b"", held.read()))
            os.close(real)
