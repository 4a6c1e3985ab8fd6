"""What a trained model is, in memory or on disk, and what packs it."""

from __future__ import annotations

import copy
import importlib.util
import inspect
import os
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features import Row
from perceptum.foreign import said

from .errors import UsageError
from .model_files import find_packager
from .neuropod import packagers

__all__ = ["PLATFORMS", "Packable", "packable"]

Arrays = Mapping[str, NDArray[Any]]

PLATFORMS = ("torchscript", "torch_export", "tensorflow", "keras", "onnx", "jax", "python")
"""What a model may be packed as, by the packagers' names."""

_ENTRY_POINT = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_ENTRY_MODULE = "perceptum_entry"


@dataclass(frozen=True)
class Packable:
    """A packager, and what it is given of the model."""

    create: Callable[..., None]
    source: dict[str, Any]
    answer: Callable[[Arrays], dict[str, NDArray[Any]]] | None = None
    """Runs the model as it is in this process; None where only what is packed can be run."""
    platform: str = ""


def packable(
    model: Any, platform: str | None, rows: Sequence[Row], example: Arrays | None, open_until: ExitStack
) -> Packable:
    """Returns what packs a model, by what it is; raises UsageError that says what there is.

    platform: one of PLATFORMS, where a model can become several; None: the first that suits. rows: its inputs.
    example: tensors of a frame, which some models are traced with. open_until: closed once it is packed.
    """
    if platform is not None and platform not in PLATFORMS:
        raise UsageError(f"no platform '{platform}'; there are {', '.join(PLATFORMS)}")
    found = _ways(model, rows, example, open_until)
    if platform is None:
        return next(iter(found.values()))()
    if platform not in found:
        raise UsageError(f"{_what(model)} cannot be packed as {platform}; as {' or '.join(found)} it can")
    return found[platform]()


def _ways(
    model: Any, rows: Sequence[Row], example: Arrays | None, open_until: ExitStack
) -> dict[str, Callable[[], Packable]]:
    """Returns platform -> what makes it packable; the first is the usual one."""
    if isinstance(model, str | os.PathLike):
        return _ways_of_path(model, open_until)
    torch, tf, keras = (sys.modules.get(name) for name in ("torch", "tensorflow", "keras"))
    if keras is not None and isinstance(model, keras.Model):
        return {"keras": lambda: Packable(packagers.create_keras_neuropod, {"model": model}, platform="keras")}
    if torch is not None and hasattr(torch, "nn"):
        if isinstance(model, torch.jit.ScriptModule):
            return {"torchscript": lambda: _torchscript(torch, model)}
        if isinstance(model, torch.nn.Module):
            return {
                "torchscript": lambda: _torchscript(torch, model),
                "torch_export": lambda: _torch_export(torch, model, rows, example),
            }
        exported = getattr(getattr(torch, "export", None), "ExportedProgram", ())
        if isinstance(model, exported):
            return {
                "torch_export": lambda: Packable(
                    packagers.create_torch_export_neuropod, {"program": model}, platform="torch_export"
                )
            }
    if tf is not None and hasattr(tf, "Module"):
        if isinstance(model, tf.types.experimental.GenericFunction | tf.types.experimental.ConcreteFunction):
            return {"tensorflow": lambda: _tf_function(tf, model, rows, open_until)}
        if isinstance(model, tf.Module | tf.__internal__.tracking.Trackable):
            source = {"trackable_obj": model}
            return {"tensorflow": lambda: Packable(packagers.create_tensorflow_neuropod, source, platform="tensorflow")}
    onnx, jax = sys.modules.get("onnx"), sys.modules.get("jax")
    if isinstance(model, bytes) or (onnx is not None and isinstance(model, onnx.ModelProto)):
        return {"onnx": lambda: Packable(packagers.create_onnx_neuropod, {"model": model}, platform="onnx")}
    if jax is not None and isinstance(model, getattr(getattr(jax, "export", None), "Exported", ())):
        return {"jax": lambda: Packable(packagers.create_jax_neuropod, {"exported": model}, platform="jax")}
    if callable(model):
        return {
            "python": lambda: _function(model, open_until),
            "jax": lambda: Packable(packagers.create_jax_neuropod, {"function": model}, platform="jax"),
        }
    raise UsageError(
        f"{_what(model)} is not a model that can be packed; wanted a torch module or exported program, a Keras model, "
        "a TensorFlow function or module, an onnx model, a JAX export, a function in a module of its own, or the path "
        "of what a framework saved"
    )


def _ways_of_path(model: str | os.PathLike[str], open_until: ExitStack) -> dict[str, Callable[[], Packable]]:
    path, text = Path(model), os.fspath(model)
    if not path.exists() and _ENTRY_POINT.fullmatch(text):
        return {"python": lambda: _entry_point(text, open_until)}
    create, source = find_packager(path)
    platform = create.__name__.removeprefix("create_").removesuffix("_neuropod")
    return {platform: lambda: Packable(create, source, platform=platform)}


def _what(model: Any) -> str:
    if isinstance(model, str | os.PathLike):
        return f"'{os.fspath(model)}'"
    kind = type(model)
    return f"a {kind.__module__.partition('.')[0]} {kind.__qualname__}"


def _torchscript(torch: Any, model: Any) -> Packable:
    ready = _evaluated(model)
    if not isinstance(ready, torch.jit.ScriptModule):
        with warnings.catch_warnings():
            # torch advises torch.export, which cannot leave every size open
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", FutureWarning)
            try:
                scripted = torch.jit.script(ready)
            except Exception as error:  # its compiler raises whatever it meets
                raise UsageError(
                    f"TorchScript cannot take {_what(model)} ({said(error)}); platform='torch_export' traces it with "
                    "the tensors of frame=, or give a torch.jit.ScriptModule"
                ) from error
    else:
        scripted = ready
    return Packable(
        packagers.create_torchscript_neuropod,
        {"module": scripted},
        lambda tensors: _torch_answer(torch, ready, tensors),
        "torchscript",
    )


def _torch_export(torch: Any, model: Any, rows: Sequence[Row], example: Arrays | None) -> Packable:
    if example is None:
        raise UsageError("platform='torch_export' traces the model with a frame's tensors: give frame=, or seen=")
    ready = _evaluated(model)
    given = {row.name: torch.from_numpy(np.array(example[row.name])) for row in rows}
    free = {
        row.name: {axis: torch.export.Dim.DYNAMIC for axis, dim in enumerate(row.shape) if not isinstance(dim, int)}
        for row in rows
    }
    try:
        program = torch.export.export(ready, (), given, dynamic_shapes=free)
    except Exception as error:  # what is traced raises whatever it meets
        raise UsageError(f"torch.export cannot take {_what(model)}: {said(error)}") from error
    return Packable(
        packagers.create_torch_export_neuropod,
        {"program": program},
        lambda tensors: _torch_answer(torch, ready, tensors),
        "torch_export",
    )


def _evaluated(model: Any) -> Any:
    """Returns a copy on the CPU that evaluates: the one that is being trained stays as it is."""
    ready = copy.deepcopy(model).cpu()
    ready.eval()
    return ready


def _torch_answer(torch: Any, ready: Any, tensors: Arrays) -> dict[str, NDArray[Any]]:
    given = {name: torch.from_numpy(np.array(array)) for name, array in tensors.items()}
    with torch.no_grad():
        outputs = ready(**given)
    if not isinstance(outputs, Mapping):
        raise UsageError(
            f"{_what(ready)} returns {type(outputs).__name__}; a packaged model returns a dict, output name to tensor"
        )
    return {name: tensor.detach().numpy() for name, tensor in outputs.items()}


def _tf_function(tf: Any, function: Any, rows: Sequence[Row], open_until: ExitStack) -> Packable:
    """Saves a tf.function with the sizes that the spec leaves open."""
    signature = {
        row.name: tf.TensorSpec([d if isinstance(d, int) else None for d in row.shape], row.dtype, row.name)
        for row in rows
    }
    concrete = function
    if isinstance(function, tf.types.experimental.GenericFunction):
        concrete = function.get_concrete_function(**signature)
    holder = tf.Module()
    holder.run = concrete
    # variables that a function closes over are saved with what tracks them
    holder.variables_of_run = list(concrete.variables)
    folder = open_until.enter_context(TemporaryDirectory())
    tf.saved_model.save(holder, folder, signatures=concrete)
    return Packable(packagers.create_tensorflow_neuropod, {"saved_model_dir": folder}, platform="tensorflow")


def _entry_point(text: str, open_until: ExitStack) -> Packable:
    """Packs "package.module:function", whose function is given the folder of the data and returns the model."""
    module, _, function = text.partition(":")
    return _python([_code_of(module, open_until)], module, function)


def _function(model: Callable[..., Any], open_until: ExitStack) -> Packable:
    """Packs a function with the package that it is in, and a module that returns it."""
    name, module = getattr(model, "__qualname__", ""), getattr(model, "__module__", "") or ""
    if not inspect.isfunction(model) or not name.isidentifier():
        raise UsageError(
            f"{_what(model)} cannot be packed by itself: its state is not code; give 'package.module:function', whose "
            "function is given the folder of data_paths= and returns the model"
        )
    if module == "__main__":
        raise UsageError(f"the function {name} is in the program itself; move it into a module, which can be packed")
    entry = Path(open_until.enter_context(TemporaryDirectory()))
    # a package's code lies in a package of its own, so that it is imported relative to that
    text = f"from .{module} import {name}\n\n\ndef make(data_folder):\n    return {name}\n"
    (entry / f"{_ENTRY_MODULE}.py").write_text(text, encoding="utf-8")
    code = [_code_of(module, open_until), {"python_root": entry, "dirs_to_package": [""]}]
    return _python(code, _ENTRY_MODULE, "make")


def _python(code: list[dict[str, Any]], module: str, function: str) -> Packable:
    source = {"data_paths": [], "code_path_spec": code, "entrypoint_package": module, "entrypoint": function}
    return Packable(packagers.create_python_neuropod, source, platform="python")


def _code_of(module: str, open_until: ExitStack) -> dict[str, Any]:
    """Returns the folder of the package that a module is in; of a module in none a folder with that file alone."""
    top = module.partition(".")[0]
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:
        spec = None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise UsageError(f"there is no module '{module}' of Python source that could be packed")
    origin = Path(spec.origin)
    if origin.name == "__init__.py":
        return {"python_root": origin.parents[1], "dirs_to_package": [origin.parent.name]}
    alone = Path(open_until.enter_context(TemporaryDirectory()))
    shutil.copy(origin, alone)
    return {"python_root": alone, "dirs_to_package": [""]}
