"""Running a package in another Python."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from ..pack.selftest import child_environment
from ..package.test_data import load
from ..package.tied_folder import TiedFolder

__all__ = ["eval_in_new_process"]


def eval_in_new_process(
    neuropod_path: str | os.PathLike[str],
    input_data: Mapping[str, Any],
    binary_path: str = sys.executable,
    extra_args: Sequence[str] = (),
    neuropod_load_args: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> dict[str, NDArray[Any]]:
    """Returns what a package answers in a new process; raises subprocess.CalledProcessError where that fails.

    binary_path: the Python that runs it; perceptum is found there as it is here.
    extra_args: more words for `python -m perceptum.neuropod.loader`.
    neuropod_load_args: keywords of `load_neuropod`.
    kwargs: of subprocess.check_call.
    """
    folder = TiedFolder()
    try:
        files = {name: folder.path / f"{name}.pkl" for name in ("input", "args", "output")}
        files["input"].write_bytes(pickle.dumps(dict(input_data)))
        files["args"].write_bytes(pickle.dumps(dict(neuropod_load_args or {})))
        paths = [word for name, path in files.items() for word in (f"--{name}-pkl-path", str(path))]
        command = [binary_path, "-m", "perceptum.neuropod.loader", "--neuropod-path", os.fspath(neuropod_path), *paths]
        subprocess.check_call([*command, *extra_args], **{"env": child_environment(folder.path), **kwargs})
        outputs: dict[str, NDArray[Any]] = load(files["output"].read_bytes())
    finally:
        folder.close()
    return outputs
