"""Keras 3 models as SavedModels whose signature carries the names of a spec."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from keyword import iskeyword
from pathlib import Path
from typing import Any

from ..errors import NeuropodError
from ..tensorflow_import import import_tensorflow

__all__ = ["input_spec", "names", "output_spec", "saved_model", "write_saved_model"]

_IDENTIFIER = re.compile("(?!self$)[A-Za-z][A-Za-z0-9_]*")


def names(model: Any, mapping: Mapping[str, str] | None) -> dict[str, str]:
    """Returns the model's own names -> the spec's; outputs that the mapping leaves out are not there.

    Raises NeuropodError for a mapping that leaves out an input, or names what the model has not.
    """
    inputs = _input_names(model)
    own = [*inputs, *_output_names(model)]
    if mapping is None:
        return {name: name for name in own}
    unknown = sorted(set(mapping.values()) - set(own))
    uncovered = sorted(set(inputs) - set(mapping.values()))
    if unknown:
        raise NeuropodError(f"node_name_mapping: the model has no '{unknown[0]}'; it has {', '.join(own)}")
    if uncovered:
        raise NeuropodError(f"node_name_mapping: nothing maps to the model's '{uncovered[0]}'; map every input")
    return {layer: name for name, layer in mapping.items()}


def input_spec(model: Any, spec_names: Mapping[str, str]) -> list[dict[str, Any]]:
    return [_row(spec_names[name], t) for name, t in zip(_input_names(model), model.inputs, strict=True)]


def output_spec(model: Any, spec_names: Mapping[str, str]) -> list[dict[str, Any]]:
    for name in _output_names(model):
        if name not in spec_names:
            raise NeuropodError(
                f"node_name_mapping: nothing maps to the model's '{name}'; map every output, or give output_spec"
            )
    return [_row(spec_names[name], t) for name, t in zip(_output_names(model), model.outputs, strict=True)]


@contextmanager
def saved_model(model: Any, spec_names: Mapping[str, str]) -> Iterator[Path]:
    """Lends a folder with the model as a SavedModel, from spec names to spec names.

    Only Keras on TensorFlow can trace one. A model on another backend is saved as a .keras file, which is the same for
    all, and a fresh process does it.
    """
    import keras

    names: dict[str, Sequence[str | None]] = {
        "inputs": [spec_names[name] for name in _input_names(model)],
        "outputs": [spec_names.get(name) for name in _output_names(model)],
    }
    with tempfile.TemporaryDirectory(prefix="neuropod_keras_") as folder:
        target = Path(folder, "saved")
        if keras.backend.backend() == "tensorflow":
            write_saved_model(model, names, target)
        else:
            file = Path(folder, "model.keras")
            model.save(str(file))
            _convert(file, names, target, keras.backend.backend())
        yield target


def write_saved_model(model: Any, spec_names: Mapping[str, Sequence[str | None]], target: Path) -> None:
    """Writes the model with one signature, which takes `spec_names["inputs"]` and returns "outputs", but for None."""
    import keras

    tf = import_tensorflow()
    parameters = _parameters([str(name) for name in spec_names["inputs"]])

    def serve(**inputs: Any) -> dict[str, Any]:
        outputs = keras.tree.flatten(model([inputs[name] for name in parameters], training=False))
        return {name: out for name, out in zip(spec_names["outputs"], outputs, strict=True) if name is not None}

    specs = {
        name: tf.TensorSpec(tensor.shape, tensor.dtype, name)
        for name, tensor in zip(parameters, model.inputs, strict=True)
    }
    module = tf.Module()
    module.model = model
    module.weights = [variable.value for variable in model.variables]  # TensorFlow does not see Keras's own lists
    with warnings.catch_warnings():  # a list goes for every model, but Keras would have a dict where it was made of one
        warnings.filterwarnings("ignore", "The structure of `inputs`", UserWarning)
        module.serve = tf.function(serve).get_concrete_function(**specs)  # the only one, so it is the signature
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
    """Gives the signature's inputs other names; whoever runs a SavedModel goes by the signature."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    inputs = saved.meta_graphs[0].signature_def["serving_default"].inputs
    for old, new in names.items():
        inputs[new].CopyFrom(inputs[old])
        del inputs[old]
    file.write_bytes(saved.SerializeToString(deterministic=True))


def _convert(file: Path, names: Mapping[str, Sequence[str | None]], target: Path, backend: str) -> None:
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
        with suppress(ImportError):  # Keras names the layer that it then lacks
            importlib.import_module(module)
    model = keras.saving.load_model(file, compile=False, safe_mode=False)
    write_saved_model(model, json.loads(names), Path(target))


def _input_names(model: Any) -> list[str]:
    if not getattr(model, "inputs", None):
        raise NeuropodError("the model does not know its inputs; make it by keras.Model(inputs, outputs), or build it")
    return [tensor.name for tensor in model.inputs]


def _output_names(model: Any) -> list[str]:
    """Returns the layers that give the outputs; a Sequential model's is its last."""
    return list(getattr(model, "output_names", None) or [model.layers[-1].name])


def _row(name: str, tensor: Any) -> dict[str, Any]:
    """Returns a spec row; the first axis is the batch."""
    return {"name": name, "dtype": tensor.dtype, "shape": ("batch_size", *tensor.shape[1:])}


if __name__ == "__main__":
    _load_and_write(*sys.argv[1:])
