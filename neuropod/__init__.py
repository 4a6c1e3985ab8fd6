"""How a model is packed and run: packages, backends, validation, and the hand-off to the frameworks."""

if __name__ != "perceptum.neuropod":
    raise ImportError("import this folder as perceptum.neuropod, not by its bare name")

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
