"""Perceptum: canonical input building for perception models. `import perceptum as pc`.

Everything here is loaded when it is first used, so that importing the name costs nothing.
"""

from __future__ import annotations

import importlib

# typing.TYPE_CHECKING without typing, whose import takes longer than all the rest of this
TYPE_CHECKING = False

__version__ = "0.1.0"

# public name -> the module that holds it
_WHERE = {
    "Frame": "perceptum.inputs",
    "InputBuilder": "perceptum.builders",
    "Log": "perceptum.inputs",
    "Schema": "perceptum.features",
    "Spec": "perceptum.features",
    "load_neuropod": "perceptum.neuropod",
    "open_log": "perceptum.datasets",
}
_FOLDERS = ("builders", "datasets", "features", "inputs", "neuropod")

__all__ = [
    "Frame",
    "InputBuilder",
    "Log",
    "Schema",
    "Spec",
    "__version__",
    "builders",
    "datasets",
    "features",
    "inputs",
    "load_neuropod",
    "neuropod",
    "open_log",
]

if TYPE_CHECKING:
    from typing import Any

    from . import builders, datasets, inputs, neuropod
    from .builders import InputBuilder
    from .datasets import open_log
    from .features import Catalogue, Schema, Spec
    from .inputs import Frame, Log
    from .neuropod import load_neuropod

    # `perceptum.features` is the folder, and also a call: pc.features() is the catalogue
    def features() -> Catalogue: ...


def __getattr__(name: str) -> Any:
    if name in _FOLDERS:
        return importlib.import_module(f"perceptum.{name}")
    if name in _WHERE:
        value = getattr(importlib.import_module(_WHERE[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'perceptum' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
