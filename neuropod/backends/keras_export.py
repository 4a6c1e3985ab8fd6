"""Keras 3 models as SavedModels whose signature carries the names of a spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import NeuropodError
from ..tensorflow_import import import_tensorflow

__all__ = ["input_spec", "names", "output_spec", "servable"]


def names(model: Any, mapping: Mapping[str, str] | None) -> dict[str, str]:
    """Returns the model's own names -> the spec's; raises NeuropodError for a mapping that does not cover the model."""
    own = [*_input_names(model), *model.output_names]
    if mapping is None:
        return {name: name for name in own}
    unknown = sorted(set(mapping.values()) - set(own))
    uncovered = sorted(set(own) - set(mapping.values()))
    if unknown:
        raise NeuropodError(f"node_name_mapping: the model has no '{unknown[0]}'; it has {', '.join(own)}")
    if uncovered:
        raise NeuropodError(
            f"node_name_mapping: nothing maps to the model's '{uncovered[0]}'; map every input and output"
        )
    return {layer: name for name, layer in mapping.items()}


def input_spec(model: Any, spec_names: Mapping[str, str]) -> list[dict[str, Any]]:
    return [_row(spec_names[name], t) for name, t in zip(_input_names(model), model.inputs, strict=True)]


def output_spec(model: Any, spec_names: Mapping[str, str]) -> list[dict[str, Any]]:
    return [_row(spec_names[name], t) for name, t in zip(model.output_names, model.outputs, strict=True)]


def servable(model: Any, spec_names: Mapping[str, str]) -> Any:
    """Returns what tf.saved_model.save takes: the model with one traced function, from spec names to spec names."""
    import keras  # type: ignore[import-untyped]

    tf = import_tensorflow()
    if keras.backend.backend() != "tensorflow":
        raise NeuropodError(
            f"Keras runs on {keras.backend.backend()} here, but is packed by TensorFlow; set KERAS_BACKEND=tensorflow"
        )
    own_inputs = _input_names(model)

    def serve(**inputs: Any) -> dict[str, Any]:
        outputs = model([inputs[spec_names[name]] for name in own_inputs], training=False)
        flat = keras.tree.flatten(outputs)
        return {spec_names[name]: value for name, value in zip(model.output_names, flat, strict=True)}

    specs = {spec_names[n]: tf.TensorSpec(t.shape, t.dtype, spec_names[n]) for n, t in _inputs(model)}
    module = tf.Module()
    module.model = model
    module.serve = tf.function(serve).get_concrete_function(**specs)  # the only one, so it is the signature
    return module


def _inputs(model: Any) -> list[tuple[str, Any]]:
    return list(zip(_input_names(model), model.inputs, strict=True))


def _input_names(model: Any) -> list[str]:
    return [tensor.name for tensor in model.inputs]


def _row(name: str, tensor: Any) -> dict[str, Any]:
    """Returns a spec row; the first axis is the batch."""
    return {"name": name, "dtype": tensor.dtype, "shape": ("batch_size", *tensor.shape[1:])}
