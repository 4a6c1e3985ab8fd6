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
    "Augment": "perceptum.builders",
    "Dataset": "perceptum.inputs",
    "Draw": "perceptum.builders",
    "Frame": "perceptum.inputs",
    "ImageColor": "perceptum.builders",
    "InputBuilder": "perceptum.builders",
    "Loader": "perceptum.loading",
    "Log": "perceptum.inputs",
    "Pipeline": "perceptum.pipeline",
    "Schema": "perceptum.features",
    "Spec": "perceptum.features",
    "TensorCache": "perceptum.builders",
    "compare": "perceptum.evaluation",
    "evaluate": "perceptum.evaluation",
    "load_neuropod": "perceptum.neuropod",
    "open_dataset": "perceptum.dataset",
    "open_log": "perceptum.datasets",
    "pack": "perceptum.packing",
}
_FOLDERS = ("builders", "datasets", "features", "inputs", "neuropod")

__all__ = [
    "Augment",
    "Dataset",
    "Draw",
    "Frame",
    "ImageColor",
    "InputBuilder",
    "Loader",
    "Log",
    "Pipeline",
    "Schema",
    "Spec",
    "TensorCache",
    "__version__",
    "builders",
    "compare",
    "datasets",
    "evaluate",
    "features",
    "inputs",
    "load_neuropod",
    "neuropod",
    "open_dataset",
    "open_log",
    "pack",
]

if TYPE_CHECKING:
    from typing import Any

    from . import builders, datasets, inputs, neuropod
    from .builders import Augment, Draw, ImageColor, InputBuilder, TensorCache
    from .dataset import open_dataset
    from .datasets import open_log
    from .evaluation import compare, evaluate
    from .features import Catalogue, Schema, Spec
    from .inputs import Dataset, Frame, Log
    from .loading import Loader
    from .neuropod import load_neuropod
    from .packing import pack
    from .pipeline import Pipeline

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
