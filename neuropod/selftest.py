"""The test right after packing: the package is loaded and run in a fresh process, and its answer compared."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import test_data
from .errors import NeuropodError

__all__ = ["check_package", "compare"]

_log = logging.getLogger(__name__)


def check_package(
    path: Path, test_input: Mapping[str, Any], expected: Mapping[str, Any] | None, load_args: Mapping[str, Any]
) -> None:
    """Raises NeuropodError where the package does not run in a process of its own, or answers otherwise than expected.

    Without expected outputs it is enough that it runs.
    """
    outputs = _run_in_new_process(path, test_input, load_args)
    if expected is not None:
        compare(outputs, expected)
    else:
        for name, array in outputs.items():
            _log.info("%s: no expected output given; '%s' is %s %s", path, name, array.dtype, array.shape)


def compare(outputs: Mapping[str, NDArray[Any]], expected: Mapping[str, Any]) -> None:
    """Raises NeuropodError, in Uber's words, where an expected output is absent or not close; others do not count."""
    for name, value in expected.items():
        wanted = np.asarray(value)
        found = outputs.get(name)
        if found is None:
            raise NeuropodError(f"{name} does not match expected value! The model did not return it")
        if not _is_close(found, wanted):
            raise NeuropodError(
                f"{name} does not match expected value! Wanted {_show(wanted)}, the model returned {_show(found)}"
            )


def _is_close(found: NDArray[Any], wanted: NDArray[Any]) -> bool:
    try:
        if wanted.dtype.kind in "SUT":
            return bool(np.all(found == wanted)) and found.dtype.kind in "SUT"
        return bool(np.allclose(wanted, found, equal_nan=True))
    except (ValueError, TypeError):  # shapes that do not fit, text against numbers
        return False


def _show(array: NDArray[Any]) -> str:
    values = np.array2string(array.ravel()[:4], separator=", ").replace("\n", "")
    return f"{array.dtype} {array.shape} {values}{' ...' if array.size > 4 else ''}"


def _run_in_new_process(
    path: Path, test_input: Mapping[str, Any], load_args: Mapping[str, Any]
) -> dict[str, NDArray[Any]]:
    with tempfile.TemporaryDirectory(prefix="neuropod_selftest_") as folder:
        source, answer = Path(folder, "input.pkl"), Path(folder, "answer.pkl")
        source.write_bytes(test_data.dump(test_input, None))
        # -P: the folder that one happens to stand in is not part of the package
        command = [
            sys.executable,
            "-P",
            "-m",
            __name__,
            str(path),
            str(source),
            str(answer),
            json.dumps(dict(load_args)),
        ]
        done = subprocess.run(
            command, env=_environment(folder), capture_output=True, text=True, errors="replace", check=False
        )
        if not answer.exists():
            raise NeuropodError(f"{path}: the test after packing ended without an answer: {_reason(done)}")
        result = test_data.load(answer.read_bytes())
    if isinstance(result, str):
        raise NeuropodError(f"{path}: the test after packing failed: {result}")
    outputs: dict[str, NDArray[Any]] = result
    return outputs


def _environment(folder: str) -> dict[str, str]:
    """Returns this process's environment, with perceptum found where it was found here, and `folder` for what is
    extracted: a model that kills its process leaves nothing behind."""
    home = str(Path(sys.modules[__name__.partition(".")[0]].__path__[0]).parent)
    others = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([home, *others]), "TMPDIR": folder}


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    last = (done.stderr.strip().splitlines() or ["nothing on stderr"])[-1]
    if done.returncode < 0:
        return f"killed by {signal.Signals(-done.returncode).name} ({last})"
    return f"exit status {done.returncode} ({last})"


def _main(path: str, source: str, answer: str, load_args: str) -> None:
    """Runs in the fresh process: what comes out, or the error's text, is pickled into `answer`."""
    import pickle

    from .loader import load_neuropod

    try:
        with load_neuropod(path, **json.loads(load_args)) as model:
            result: Any = dict(model.infer(test_data.load(Path(source).read_bytes())["test_input"]))
    except NeuropodError as error:
        result = str(error)
    partial = Path(f"{answer}.partial")
    partial.write_bytes(pickle.dumps(result))
    partial.rename(answer)


if __name__ == "__main__":
    _main(*sys.argv[1:])
