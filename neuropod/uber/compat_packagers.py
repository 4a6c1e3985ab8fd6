"""The packagers as Uber's were called: an unknown keyword is ignored, as it was there, but with a warning."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from .. import packagers
from ..backends.tensorflow import keras as keras_export
from ..pack.packing import PackOptions

__all__ = [
    "create_keras_neuropod",
    "create_python_neuropod",
    "create_pytorch_neuropod",
    "create_tensorflow_neuropod",
    "create_torchscript_neuropod",
    "infer_keras_input_spec",
    "infer_keras_output_spec",
]

_COMMON = frozenset(PackOptions.__dataclass_fields__)


def _old_style(create: Callable[..., None], *positional: str) -> Callable[..., None]:
    """Returns the packager for old code; `positional` names the parameters that may be given without their names."""
    parameters = inspect.signature(create).parameters.values()
    known = _COMMON | {p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}

    @functools.wraps(create)
    def call(*args: Any, **kwargs: Any) -> None:
        unknown = sorted(kwargs.keys() - known)
        if unknown:
            warnings.warn(
                f"{create.__name__} has no keyword {', '.join(map(repr, unknown))}: ignored, as Uber's packagers did",
                stacklevel=2,
            )
        named = dict(zip(positional, args, strict=False))
        create(*args[len(named) :], **named, **{name: value for name, value in kwargs.items() if name in known})

    return call


create_keras_neuropod = _old_style(
    packagers.create_keras_neuropod, "sess", "model", "node_name_mapping", "input_spec", "output_spec"
)
create_python_neuropod = _old_style(packagers.create_python_neuropod)
create_pytorch_neuropod = create_python_neuropod
create_tensorflow_neuropod = _old_style(packagers.create_tensorflow_neuropod)
create_torchscript_neuropod = _old_style(packagers.create_torchscript_neuropod)


def infer_keras_input_spec(model: Any, node_name_mapping: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Returns a Keras model's input spec, the first axis being "batch_size"."""
    return keras_export.input_spec(model, keras_export.names(model, node_name_mapping))


def infer_keras_output_spec(model: Any, node_name_mapping: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Returns a Keras model's output spec, the first axis being "batch_size"."""
    return keras_export.output_spec(model, keras_export.names(model, node_name_mapping))
