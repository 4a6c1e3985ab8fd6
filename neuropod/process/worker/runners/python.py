"""Python and PyTorch code: the package's own modules, under a name that nothing else has."""

import importlib
import importlib.machinery
import json
import os
import sys
import uuid
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence

import numpy as np

from . import ops
from .arrays import own, to_unicode
from .errors import NeuropodError, said
from .facts import read_facts, read_object

__all__ = ["load"]

MODEL_CONFIG = "0/config.json"
CODE = "0/code"
DATA = "0/data"


def load(folder: str, config: Dict[str, Any], visible_gpu: Optional[int], threads: Optional[int]) -> "PythonRunner":
    entry = read_object(folder, MODEL_CONFIG)
    for key in ("entrypoint", "entrypoint_package"):
        if not isinstance(entry.get(key), str):
            raise NeuropodError(
                "{}: '{}' must be a string, got {}".format(MODEL_CONFIG, key, json.dumps(entry.get(key)))
            )
    # byte code beside the sources is neither written, the folder being another's, nor read: no manifest vouches for it
    sys.dont_write_bytecode = True
    if ops.paths(folder, config):
        sys.path.insert(0, os.path.join(folder, ops.OPS))
    code = _Code(os.path.join(folder, CODE))
    model = code.model(entry["entrypoint_package"], entry["entrypoint"], os.path.join(folder, DATA))
    return PythonRunner(model, code, bool(read_facts(folder).get("gradients")))


class PythonRunner(object):
    """A callable that takes the inputs by name and returns a dict of numpy arrays."""

    def __init__(self, model: Callable[..., Any], code: "_Code", gradients: bool) -> None:
        self._model = model
        self._code = code
        self._gradients = gradients

    def run(self, inputs: Dict[str, Any], wanted: Sequence[str]) -> Dict[str, Any]:
        values = {name: _given(name, array) for name, array in inputs.items()}
        with self._code.named():
            outputs = self._called(values)
        if not hasattr(outputs, "items"):
            raise NeuropodError("the model must return a dict of numpy arrays, got {}".format(type(outputs).__name__))
        given = list(inputs.values())
        return {name: _returned(name, value, given) for name, value in outputs.items()}

    def _called(self, values: Dict[str, Any]) -> Any:
        if not self._gradients:
            return self._model(**values)
        import torch

        with torch.enable_grad():
            return self._model(**values)

    def close(self) -> None:
        self._model = _closed


def _closed(**_: Any) -> Any:
    raise NeuropodError("the model is closed")


def _given(name: str, array: Any) -> Any:
    """Returns an array of the model's own over the same memory: `x.shape = ...` is seen by no later call."""
    return to_unicode(array, "input '{}'".format(name)) if array.dtype.kind in "ST" else array.view()


def _returned(name: str, value: Any, given: Sequence[Any]) -> Any:
    if not isinstance(value, (np.ndarray, np.generic)):
        raise NeuropodError("All outputs must be numpy arrays! Output `{}` was of type `{}`".format(name, type(value)))
    array = np.asarray(value)
    if array.dtype.kind in "SUT":
        return to_unicode(array, "output '{}'".format(name))
    return own(array, given)


class _SourceLoader(importlib.machinery.SourceFileLoader):
    """Runs the source, never byte code beside it."""

    def get_code(self, fullname: str) -> Any:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


_LOADERS = (
    (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES),
    (_SourceLoader, importlib.machinery.SOURCE_SUFFIXES),
)


class _Code(object):
    """A package's code tree as one importable package with a name that nothing else has."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._name = "neuropod_" + uuid.uuid4().hex
        # packagers of the first years wrote no __init__.py into it
        init = os.path.join(folder, "__init__.py")
        is_there = os.path.isfile(init)
        loader = _SourceLoader(self._name, init) if is_there else None
        origin = init if is_there else None
        self._spec = importlib.machinery.ModuleSpec(self._name, loader, origin=origin, is_package=True)
        self._spec.submodule_search_locations = [folder]
        self._spec.has_location = is_there

    def find_spec(self, name: str, path: Optional[Sequence[str]], target: Any = None) -> Any:
        """Answers Python's import for the modules of this tree only."""
        if name == self._name:
            return self._spec
        if not name.startswith(self._name + "."):
            return None
        for folder in path or ():
            spec = importlib.machinery.FileFinder(folder, *_LOADERS).find_spec(name)
            if spec is not None:
                return spec
        return None

    def model(self, module: str, function: str, data: str) -> Callable[..., Any]:
        """Imports the entry point's module and returns what the function makes of the data folder."""
        if not os.path.isdir(self._folder):
            raise NeuropodError("the package has no folder {}; pack it again".format(CODE))
        sys.meta_path.insert(0, self)
        shown = "{}.{}".format(module, function)
        with self.named():
            make = getattr(self._import(module), function, None)
            if not callable(make):
                raise NeuropodError("the entry point '{}' is not a function in the package's code".format(shown))
            model = make(data)
        if not callable(model):
            raise NeuropodError("the entry point '{}' must return a callable, got {}".format(shown, type(model)))
        return model  # type: ignore[no-any-return]

    @contextmanager
    def named(self) -> Iterator[None]:
        """What the code raises leaves without the name under which it is imported here."""
        try:
            yield
        except NeuropodError:
            raise
        except Exception as error:
            text = said(error)
            if self._name + "." not in text:
                raise
            raise NeuropodError("failed: " + text.replace(self._name + ".", "")) from error

    def _import(self, module: str) -> Any:
        full = "{}.{}".format(self._name, module)
        try:
            return importlib.import_module(full)
        except ImportError as error:
            # another module, which the code asks for
            if error.name is None or not (full + ".").startswith(error.name + "."):
                raise
            raise NeuropodError(
                "the entry point's module '{}' is not in the package's code ({}); it holds {}".format(
                    module, CODE, ", ".join(self._modules()) or "no modules"
                )
            ) from error

    def _modules(self) -> List[str]:
        """Returns the names of the modules at the top of the tree, sorted."""
        names = {
            name.partition(".")[0]
            for name in os.listdir(self._folder)
            if name.endswith(".py") or os.path.isdir(os.path.join(self._folder, name))
        }
        return sorted(names - {"__init__", "__pycache__"})
