"""The old-style door, at Uber's place and with Uber's signature. It runs code packages, as Uber's library did.

`python -m perceptum.neuropod.loader --neuropod-path P --input-pkl-path IN [--output-pkl-path OUT] [--args-pkl-path A]`
runs a package once, as Uber's did. What it reads of pickles is arrays and plain values, never code.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import NeuropodError
from .model import Model
from .package.trust import Trust
from .uber.opening import open_with
from .uber.runtime_options import RuntimeOptions

__all__ = ["load_neuropod", "load_with"]


def load_neuropod(neuropod_path: str | os.PathLike[str], _always_use_native: bool = True, **kwargs: Any) -> Model:
    """Loads a packaged model and trusts it, unless PERCEPTUM_TRUST says never or ask.

    Of keywords there are `visible_gpu`: an index, or None for the CPU, and `use_ope`: whether it runs in a worker
    process; where that is not given PERCEPTUM_ISOLATE decides. Uber's ran each model in one.
    """
    if not _always_use_native:
        raise NeuropodError("_always_use_native=False is no longer supported; leave it out")
    return load_with(neuropod_path, Trust.IMPLIED, kwargs)


def load_with(path: str | os.PathLike[str], trust: Trust, keywords: Mapping[str, Any]) -> Model:
    """Loads with the old-style keywords; raises NeuropodError for an unknown one."""
    unknown = [name for name in keywords if name not in ("visible_gpu", "use_ope")]
    if unknown:
        raise NeuropodError(
            f"Got unexpected keyword argument {unknown[0]}; load_neuropod takes visible_gpu and use_ope"
        )
    return open_with(path, trust, RuntimeOptions.of(keywords.get("visible_gpu", 0), keywords.get("use_ope")))


def _main(words: Sequence[str] | None = None) -> None:
    import argparse
    import pickle
    from pathlib import Path

    from .package.test_data import load

    parser = argparse.ArgumentParser("python -m perceptum.neuropod.loader", description="Run a packaged model once.")
    parser.add_argument("--neuropod-path", required=True, help="the package")
    parser.add_argument("--input-pkl-path", required=True, help="a pickle of name -> array: the inputs")
    parser.add_argument("--args-pkl-path", help="a pickle of keywords for load_neuropod")
    parser.add_argument("--output-pkl-path", help="where to pickle name -> array: the outputs")
    given = parser.parse_args(words)
    keywords = {} if given.args_pkl_path is None else load(Path(given.args_pkl_path).read_bytes())
    with load_neuropod(given.neuropod_path, **keywords) as model:
        outputs = model.infer(load(Path(given.input_pkl_path).read_bytes()))
    if given.output_pkl_path is not None:
        Path(given.output_pkl_path).write_bytes(pickle.dumps(outputs))


if __name__ == "__main__":
    try:
        _main()
    except (NeuropodError, OSError) as error:
        sys.exit(f"perceptum.neuropod.loader: {error}")
