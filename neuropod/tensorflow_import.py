"""TensorFlow's import, without the lines it writes to the terminal on its way."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from perceptum.install import install_command

from .errors import NeuropodError

__all__ = ["LOG_LEVEL", "import_tensorflow"]

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_NOISE = re.compile(rb"(I\d{4} |WARNING: All log messages before absl|To enable the following instructions:)")


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
            os.write(real, b"".join(line for line in held if not _NOISE.match(line)))
            os.close(real)
