"""The old-style door, at Uber's place and with Uber's signature. It runs code packages, as Uber's library did."""

from __future__ import annotations

import os
from typing import Any

from .errors import NeuropodError
from .model import Model, open_model

__all__ = ["load_neuropod"]


def load_neuropod(neuropod_path: str | os.PathLike[str], _always_use_native: bool = True, **kwargs: Any) -> Model:
    """Loads a packaged model and trusts it. Of keywords there is `visible_gpu`: an index, or None for the CPU."""
    if not _always_use_native:
        raise NeuropodError("_always_use_native=False is no longer supported; leave it out")
    visible_gpu = kwargs.pop("visible_gpu", 0)
    if kwargs:
        raise NeuropodError(f"Got unexpected keyword argument {next(iter(kwargs))}; load_neuropod takes visible_gpu")
    return open_model(neuropod_path, trust=True, visible_gpu=visible_gpu, validate="full", schema=None)
