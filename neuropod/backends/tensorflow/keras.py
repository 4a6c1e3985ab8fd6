"""Keras 3 models as SavedModels whose signature carries the names of a spec."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from keyword import iskeyword
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from perceptum.foreign import foreign

from ...errors import NeuropodError
from ...frameworks.tensorflow import import_tensorflow

__all__ = ["input_spec", "names", "output_spec", "saved_model", "write_saved_model"]

_IDENTIFIER = re.compile("(?!self$)[A-Za-z][A-Za-z0-9_]*")


def names(model: Any, mapping: Mapping[str, str] | None) -> dict[str, str]:
    """Returns the model's own names -> the spec's; outputs that the mapping leaves out are left out.

    Raises NeuropodError for a mapping that leaves out an input, or names something that the model does not have.
    """
    inputs, outputs = _inputs(model), _outputs(model)
    own = [*inputs, *outputs]
    if mapping is None:
        return {name: name for name in own}
    known = {**_older_names(outputs), **_older_names(inputs), **{name: name for name in own}}
    unknown = sorted(set(mapping.values()) - known.keys())
    if unknown:
        raise NeuropodError(f"node_name_mapping: the model has no '{unknown[0]}'; it has {', '.join(own)}")
    found = {known[theirs]: name for name, theirs in mapping.items()}
    uncovered = sorted(set(inputs) - found.keys())
    if uncovered:
        raise NeuropodError(f"node_name_mapping: nothing maps to the model's '{uncovered[0]}'; map every input")
    return found


def input_spec(model: Any, spec_names: Mapping[str, str]) -> list[dict[str, Any]]:
    return [_row(spec_names[name], leaf.tensor) for name, leaf in _inputs(model).items()]


def output_spec(model: Any, spec_names: Mapping[str, str]) -> list[dict[str, Any]]:
    outputs = _outputs(model)
    for name in outputs:
        if name not in spec_names:
            raise NeuropodError(
                f"node_name_mapping: nothing maps to the model's '{name}'; map every output, or give output_spec"
            )
    return [_row(spec_names[name], leaf.tensor) for name, leaf in outputs.items()]


@contextmanager
def saved_model(model: Any, spec_names: Mapping[str, str]) -> Iterator[Path]:
    """Lends a folder with the model as a SavedModel, from spec names to spec names.

    Only Keras on TensorFlow can trace one. A model on another backend is saved as a .keras file, which is the same for
    all, and a fresh process does it.
    """
    import keras

    names: dict[str, dict[str, str]] = {
        "inputs": {name: spec_names[name] for name in _inputs(model)},
        "outputs": {name: spec_names[name] for name in _outputs(model) if name in spec_names},
    }
    with tempfile.TemporaryDirectory(prefix="neuropod_keras_") as folder:
        target = Path(folder, "saved")
        if keras.backend.backend() == "tensorflow":
            with foreign("Keras cannot trace the model for packing", NeuropodError):
                write_saved_model(model, names, target)
        else:
            _refuse_memory(model)
            file = Path(folder, "model.keras")
            with foreign("Keras cannot save the model for packing", NeuropodError):
                model.save(str(file))
            _convert(file, names, target, keras.backend.backend())
        yield target


def write_saved_model(model: Any, spec_names: Mapping[str, Mapping[str, str]], target: Path) -> None:
    """Writes the model with one signature. `spec_names`: "inputs" and "outputs" -> the model's own names -> the spec's;
    outputs that are not there are left out."""
    import keras

    tf = import_tensorflow()
    inputs, outputs = _inputs(model), _outputs(model)
    parameters = _parameters([spec_names["inputs"][name] for name in inputs])
    shape = _input_structure(model)

    def serve(**given: Any) -> dict[str, Any]:
        # as the model was made: most models take a list for a dict, and put what it holds into another order
        nested = keras.tree.pack_sequence_as(shape, [given[name] for name in parameters])
        answers = keras.tree.flatten(model(nested, training=False))
        return {
            spec_names["outputs"][name]: answer
            for name, answer in zip(outputs, answers, strict=True)
            if name in spec_names["outputs"]
        }

    specs = {
        name: tf.TensorSpec(leaf.tensor.shape, leaf.tensor.dtype, name)
        for name, leaf in zip(parameters, inputs.values(), strict=True)
    }
    traced = tf.function(serve).get_concrete_function(**specs)
    module = tf.Module()
    module.serve = traced  # the only one, so it is the signature
    # what the trace used, wherever Keras keeps it: the state of an RNN is in none of its lists. TensorFlow sees neither
    module.used = [*traced.variables, *(variable.value for variable in model.variables)]
    try:
        tf.saved_model.save(module, str(target))
    except AssertionError:  # it uses tables too, which are found by way of the model; its weights are saved twice then
        shutil.rmtree(target, ignore_errors=True)
        module.model = model
        tf.saved_model.save(module, str(target))
    renamed = {parameter: name for parameter, name in parameters.items() if parameter != name}
    if renamed:
        _rename_inputs(target / "saved_model.pb", renamed)


def _parameters(names: Sequence[str]) -> dict[str, str]:
    """Returns parameter -> name: TensorFlow cannot trace a function whose parameter is named "in" or "left.eye"."""
    return {
        name if _IDENTIFIER.fullmatch(name) and not iskeyword(name) else f"perceptum_input_{i}": name
        for i, name in enumerate(names)
    }


def _rename_inputs(file: Path, names: Mapping[str, str]) -> None:
    """Gives the signature's inputs other names; what runs a SavedModel uses the names of the signature."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    inputs = saved.meta_graphs[0].signature_def["serving_default"].inputs
    for old, new in names.items():
        inputs[new].CopyFrom(inputs[old])
        del inputs[old]
    file.write_bytes(saved.SerializeToString(deterministic=True))


def _convert(file: Path, names: Mapping[str, Mapping[str, str]], target: Path, backend: str) -> None:
    import keras

    modules = sorted({made.__module__ for made in keras.saving.get_custom_objects().values()})
    command = [sys.executable, "-P", "-m", __name__, str(file), json.dumps(names), str(target), *modules]
    paths = os.pathsep.join(dict.fromkeys(path for path in sys.path if path))
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise NeuropodError(
            f"the model runs on Keras with {backend} and not with TensorFlow, which packs it ({last}); "
            "use layers and keras.ops that every backend has, in a module that can be imported"
        )


def _load_and_write(file: str, names: str, target: str, *modules: str) -> None:
    """Runs in the fresh process, on a file that the first one has just written; the modules register layers."""
    import keras

    for module in modules:
        with suppress(ImportError):  # Keras names the layer that is then missing
            importlib.import_module(module)
    model = keras.saving.load_model(file, compile=False, safe_mode=False)
    write_saved_model(model, json.loads(names), Path(target))


def _refuse_memory(model: Any) -> None:
    """A .keras file holds no state of an RNN: one that remembers something would have forgotten it."""
    import keras

    for layer in model._flatten_layers():
        for state in keras.tree.flatten(getattr(layer, "states", None) or ()):
            if np.any(keras.ops.convert_to_numpy(state)):
                raise NeuropodError(
                    f"the layer '{layer.name}' keeps state from what it has seen, which a .keras file leaves out; "
                    "call its reset_state() before packing, or pack it with Keras on TensorFlow"
                )


class _Leaf(NamedTuple):
    """One tensor of a model's inputs or outputs."""

    tensor: Any
    layer: str
    """The name of the layer that it comes from, which Keras uses for what has no other name."""


def _inputs(model: Any) -> dict[str, _Leaf]:
    """Returns the inputs by name, in Keras's own order."""
    if not getattr(model, "inputs", None):
        raise NeuropodError("the model does not know its inputs; make it by keras.Model(inputs, outputs), or build it")
    return _named("input", _input_structure(model), [tensor.name for tensor in model.inputs])


def _outputs(model: Any) -> dict[str, _Leaf]:
    """Returns the outputs by name; a Sequential model's has the name of its last layer."""
    if not _is_functional(model):
        return _named("output", model.outputs[0], [model.layers[-1].name])
    return _named("output", model.output, model.output_names)


def _input_structure(model: Any) -> Any:
    """Returns the inputs nested as the model was made; a Sequential model has one."""
    return model.input if _is_functional(model) else model.inputs[0]


def _is_functional(model: Any) -> bool:
    return hasattr(model, "output_names")


def _named(side: str, structure: Any, layers: Sequence[str]) -> dict[str, _Leaf]:
    """Returns the leaves of a structure by name: {"eyes": [a, b]} has eyes/0 and eyes/1. Where there are only lists,
    they have the names of the layers."""
    import keras

    found: dict[str, _Leaf] = {}
    for (path, tensor), layer in zip(keras.tree.flatten_with_path(structure), layers, strict=True):
        name = "/".join(map(str, path)) if any(isinstance(part, str) for part in path) else layer
        if name in found:
            raise NeuropodError(
                f"two of the model's {side}s are named '{name}'; make the model with a dict of {side}s, whose keys are "
                "their names"
            )
        found[name] = _Leaf(tensor, layer)
    return found


def _older_names(leaves: Mapping[str, _Leaf]) -> dict[str, str]:
    """Returns the layers' names -> the leaves' where there is one of each: node_name_mapping may say either."""
    layers = [leaf.layer for leaf in leaves.values()]
    return {leaf.layer: name for name, leaf in leaves.items() if layers.count(leaf.layer) == 1}


def _row(name: str, tensor: Any) -> dict[str, Any]:
    """Returns a spec row; the first axis is the batch, unless the model was made for one of a size."""
    batch = [size or "batch_size" for size in tensor.shape[:1]]
    return {"name": name, "dtype": tensor.dtype, "shape": (*batch, *tensor.shape[1:])}


if __name__ == "__main__":
    try:
        with foreign("Keras", NeuropodError):
            _load_and_write(*sys.argv[1:])
    except NeuropodError as error:
        sys.exit(str(error).removeprefix("Keras: "))
