"""Testing a package, and the test data in its folder."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import NeuropodError
from ..pack import selftest
from ..package import test_data

__all__ = [
    "TEST_DATA_FILENAME",
    "check_output_matches_expected",
    "load_and_test_neuropod",
    "load_test_data",
    "print_output_summary",
    "save_test_data",
]

TEST_DATA_FILENAME = test_data.FILE_NAME
_log = logging.getLogger(__name__)


def load_and_test_neuropod(
    neuropod_path: str | os.PathLike[str],
    test_input_data: Mapping[str, Any],
    test_expected_out: Mapping[str, Any] | None = None,
    neuropod_load_args: Mapping[str, Any] | None = None,
    **_: Any,
) -> None:
    """Runs a package in a fresh process; raises NeuropodError where it fails or answers otherwise than expected."""
    selftest.check_package(Path(neuropod_path), test_input_data, test_expected_out, neuropod_load_args or {})


def check_output_matches_expected(out: Mapping[str, Any], expected_out: Mapping[str, Any]) -> None:
    """Raises NeuropodError, "NAME does not match expected value!"; outputs that are not expected do not count."""
    selftest.compare(out, expected_out)


def print_output_summary(out: Mapping[str, Any]) -> None:
    """Logs each output's shape and dtype; raises NeuropodError for one that is not an array."""
    for name, value in out.items():
        if not isinstance(value, np.ndarray):
            raise NeuropodError(f"All outputs must be numpy arrays! Output `{name}` was of type `{type(value)}`")
        _log.info("%s: array with shape %s and dtype %s", name, value.shape, value.dtype)


def save_test_data(
    neuropod_path: str | os.PathLike[str],
    test_input_data: Mapping[str, Any],
    test_expected_out: Mapping[str, Any] | None,
) -> None:
    """Writes the test data into a package's folder."""
    Path(neuropod_path, TEST_DATA_FILENAME).write_bytes(test_data.dump(test_input_data, test_expected_out))


def load_test_data(neuropod_path: str | os.PathLike[str]) -> Any:
    """Returns {"test_input": ..., "test_output": ...} of a package's folder, or None, with a warning, where none is."""
    try:
        data = Path(neuropod_path, TEST_DATA_FILENAME).read_bytes()
    except OSError as error:
        _log.warning("no test data: %s", error)
        return None
    return test_data.load(data)
