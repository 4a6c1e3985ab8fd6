"""The test right after packing: the package is loaded and run in a fresh process, and its answer compared."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.foreign import said

from ..errors import NeuropodError, NotTrusted
from ..package import test_data
from ..package.tied_folder import TiedFolder
from ..package.trust import Trust
from .other_sizes import Tried, try_other_sizes

__all__ = ["Ran", "check_package", "child_environment", "compare", "run_in_new_process"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ran:
    """What came of a package in a process of its own."""

    outputs: dict[str, NDArray[Any]]
    code: str | None
    """What makes the package code; None where it is data."""
    tried: Tried = field(default_factory=Tried)
    """What came of other sizes, where they were tried."""


def check_package(
    path: Path,
    test_input: Mapping[str, Any],
    expected: Mapping[str, Any] | None,
    load_args: Mapping[str, Any],
    required: Sequence[str] = (),
    other_sizes: bool = False,
) -> Ran:
    """Runs the package in a process of its own; raises NeuropodError where it fails or gives other outputs.

    Without expected outputs it is enough that it runs, and that the required ones come. other_sizes: it is run once
    more, with other sizes where the spec leaves them open; a model that fails then is a warning.
    """
    ran = run_in_new_process(path, test_input, load_args, other_sizes=other_sizes)
    outputs = ran.outputs
    for name in required:
        if name not in outputs:
            raise NeuropodError(
                f"{path}: the model did not return '{name}'; it returned {', '.join(outputs) or 'nothing'}"
            )
    if expected is not None:
        compare(outputs, expected)
    else:
        for name, array in outputs.items():
            _log.info("no expected output given; '%s' is %s %s", name, array.dtype, array.shape)
    if ran.tried.refused is not None:
        raise NeuropodError(f"{path}: {ran.tried.refused}")
    if ran.tried.failed is not None:
        _log.warning(
            "%s leaves sizes open, and fails with sizes other than its test data's, %s", path, ran.tried.failed
        )
    return ran


def compare(outputs: Mapping[str, NDArray[Any]], expected: Mapping[str, Any]) -> None:
    """Raises NeuropodError, in Uber's words, where an expected output is absent or not close; others do not count.

    Close is what `np.allclose` takes for it, as for Uber, or what differs by less than 1e-5 of an output's largest
    value: float32 sums in another order, as with other threads, differ by that, also where they nearly cancel out.
    """
    for name, value in expected.items():
        wanted = _as_array(name, value)
        found = outputs.get(name)
        if found is None:
            raise NeuropodError(f"{name} does not match expected value! The model did not return it")
        if not _is_close(found, wanted):
            raise NeuropodError(
                f"{name} does not match expected value! Wanted {_show(wanted)}, the model returned {_show(found)}"
                f"{_furthest(found, wanted)}"
            )


def _as_array(name: str, value: Any) -> NDArray[Any]:
    try:
        return np.asarray(test_data.plain(name, value))
    except ValueError as error:  # lists of unlike lengths
        raise NeuropodError(f"the expected value of {name} is not an array ({said(error)})") from error


def _is_close(found: NDArray[Any], wanted: NDArray[Any]) -> bool:
    try:
        if wanted.dtype.kind in "SUT":
            return bool(np.all(found == wanted)) and found.dtype.kind in "SUT"
        least = 1e-5 * _largest(wanted) if wanted.dtype.kind == found.dtype.kind == "f" else 0.0
        return bool(np.allclose(wanted, found, atol=max(least, 1e-8), equal_nan=True))
    except (ValueError, TypeError):  # shapes that do not fit, text against numbers
        return False


def _largest(array: NDArray[Any]) -> float:
    finite = np.abs(array[np.isfinite(array)], dtype=np.float64)
    return float(finite.max(initial=0.0))


def _furthest(found: NDArray[Any], wanted: NDArray[Any]) -> str:
    """Says where two arrays of numbers of one shape differ most."""
    if found.shape != wanted.shape or not wanted.ndim or {found.dtype.kind, wanted.dtype.kind} - set("fiu"):
        return ""
    with np.errstate(all="ignore"):
        apart = np.abs(wanted.astype(np.float64) - found.astype(np.float64))
    # a NaN that only one of them has is further off than any number
    apart[np.isnan(apart)] = np.where(np.isnan(wanted) & np.isnan(found), 0.0, np.inf)[np.isnan(apart)]
    at = np.unravel_index(int(apart.argmax()), apart.shape)
    return f"; they differ most at {[int(i) for i in at]}: {wanted[at]} and {found[at]}"


def _show(array: NDArray[Any]) -> str:
    values = np.array2string(array.ravel()[:4], separator=", ").replace("\n", "")
    return f"{array.dtype} {array.shape} {values}{' ...' if array.size > 4 else ''}"


def run_in_new_process(
    path: Path,
    test_input: Mapping[str, Any] | None,
    load_args: Mapping[str, Any],
    trust: Trust = Trust.GIVEN,
    other_sizes: bool = False,
) -> Ran:
    """Returns what the model answers in a process of its own; without inputs it is loaded there, and no more.

    Raises NeuropodError where it does not load or run, whatever happens to that process; NotTrusted for code.
    other_sizes: it is run a second time, see `other_sizes`; the answer says what came of that.
    """
    folder = TiedFolder()
    try:
        source, answer = folder.path / "input.pkl", folder.path / "answer.pkl"
        source.write_bytes(test_data.dump(test_input or {}, None))
        wanted = json.dumps(
            {
                "trust": trust,
                "run": test_input is not None,
                "load_args": dict(load_args),
                "other_sizes": other_sizes and test_input is not None,
            }
        )
        # -P: the folder that one happens to stand in is not part of the package
        command = [sys.executable, "-P", "-m", __name__, str(path), str(source), str(answer), wanted]
        environment = child_environment(folder.path)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
        if not answer.exists():
            raise NeuropodError(f"{path}: the test in a fresh process ended without an answer: {_reason(done)}")
        result = test_data.load(answer.read_bytes())
        tried = _tried(Path(f"{answer}.sizes"), done) if other_sizes and "error" not in result else Tried()
    finally:
        folder.close()
    if "error" in result:
        kind = NotTrusted if result["not_trusted"] else NeuropodError
        reason = result["error"].removeprefix(f"{path}: ")
        raise kind(f"{path}: the test in a fresh process failed: {reason}")
    return Ran(result["outputs"], result["code"], tried)


def _tried(file: Path, done: subprocess.CompletedProcess[str]) -> Tried:
    """Returns what a process said of other sizes, or how it ended over them."""
    return Tried(**json.loads(file.read_bytes())) if file.exists() else Tried(failed=_reason(done))


def child_environment(folder: Path) -> dict[str, str]:
    """Returns this process's environment, with perceptum found where it was found here, and `folder` for what is
    extracted: a model that kills its process leaves nothing behind."""
    home = str(Path(sys.modules[__name__.partition(".")[0]].__path__[0]).parent)
    others = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([home, *others]), "TMPDIR": str(folder)}


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    last = (done.stderr.strip().splitlines() or ["nothing on stderr"])[-1]
    if done.returncode < 0:
        return f"killed by {signal.Signals(-done.returncode).name} ({last})"
    return f"exit status {done.returncode} ({last})"


def _main(path: str, source: str, answer: str, wanted: str) -> None:
    """Runs in the fresh process: what comes out, or the error's text, is pickled into `answer`."""
    import pickle

    from ..loader import load_with

    plan = json.loads(wanted)
    try:
        # this process is the model's own already, whatever PERCEPTUM_ISOLATE says
        with load_with(path, Trust(plan["trust"]), {"use_ope": False, **plan["load_args"]}) as model:
            given = test_data.load(Path(source).read_bytes())["test_input"]
            outputs = dict(model.infer(given)) if plan["run"] else {}
            _write(answer, pickle.dumps({"outputs": outputs, "code": model.code}))
            if plan["other_sizes"]:
                tried = try_other_sizes(model.inputs, model.outputs, given, outputs, model.infer)
                _write(f"{answer}.sizes", json.dumps(asdict(tried)).encode())
    except NeuropodError as error:
        if not Path(answer).exists():
            _write(answer, pickle.dumps({"error": str(error), "not_trusted": isinstance(error, NotTrusted)}))


def _write(path: str, data: bytes) -> None:
    """Writes a file whole or not at all: a model may end its process at any time."""
    partial = Path(f"{path}.partial")
    partial.write_bytes(data)
    partial.rename(path)


if __name__ == "__main__":
    _main(*sys.argv[1:])
