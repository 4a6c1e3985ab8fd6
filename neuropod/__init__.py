"""How a model is packed and run: packages, backends, validation, and the hand-off to the frameworks.

A name is loaded when it is first used: a worker that runs a model needs nothing of what packs one.
"""

from __future__ import annotations

import importlib

if __name__ != "perceptum.neuropod":
    raise ImportError("import this folder as perceptum.neuropod, not by its bare name")

# typing.TYPE_CHECKING without typing
TYPE_CHECKING = False

# public name -> the module that holds it
_WHERE = {
    "Model": ".model",
    "NeuropodError": ".errors",
    "as_tensorflow": ".frameworks.tensorflow",
    "as_torch": ".frameworks.torch",
    "create_jax_neuropod": ".packagers",
    "create_keras_neuropod": ".packagers",
    "create_onnx_neuropod": ".packagers",
    "create_placeholder_neuropod": ".packagers",
    "create_python_neuropod": ".packagers",
    "create_pytorch_neuropod": ".packagers",
    "create_tensorflow_neuropod": ".packagers",
    "create_torch_export_neuropod": ".packagers",
    "create_torchscript_neuropod": ".packagers",
    "load_neuropod": ".front_door",
}

__all__ = [
    "Model",
    "NeuropodError",
    "as_tensorflow",
    "as_torch",
    "create_jax_neuropod",
    "create_keras_neuropod",
    "create_onnx_neuropod",
    "create_placeholder_neuropod",
    "create_python_neuropod",
    "create_pytorch_neuropod",
    "create_tensorflow_neuropod",
    "create_torch_export_neuropod",
    "create_torchscript_neuropod",
    "load_neuropod",
]

if TYPE_CHECKING:
    from typing import Any

    from .errors import NeuropodError
    from .frameworks.tensorflow import as_tensorflow
    from .frameworks.torch import as_torch
    from .front_door import load_neuropod
    from .model import Model
    from .packagers import (
        create_jax_neuropod,
        create_keras_neuropod,
        create_onnx_neuropod,
        create_placeholder_neuropod,
        create_python_neuropod,
        create_pytorch_neuropod,
        create_tensorflow_neuropod,
        create_torch_export_neuropod,
        create_torchscript_neuropod,
    )


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        value = getattr(importlib.import_module(_WHERE[name], __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
