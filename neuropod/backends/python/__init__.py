"""Plain Python and PyTorch code: the package's own modules, under its own name. This is code: it can do anything."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import json
import platform
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.foreign import said

from ...errors import NeuropodError
from ...frameworks.handoff import Empty, private_copy, shares_memory, why_copied
from ...frameworks.strings import is_string, of_tensor, to_unicode
from ...frameworks.torch.runner import gradients_hint, import_torch
from ...package import custom_ops, requirements
from ...package.package import CODE, DATA, MODEL_CONFIG, OPS, Package
from ...package.source_loader import LOADERS, SourceLoader

__all__ = ["FRAMEWORK", "RUNS_CODE", "copy_reason", "load", "version"]

FRAMEWORK = "numpy"
RUNS_CODE = True


def version() -> str:
    return platform.python_version()


def copy_reason(array: NDArray[Any]) -> str | None:
    return why_copied(array, text=True)


def load(package: Package, visible_gpu: int | None) -> PythonRunner:
    """Loads the entry point. Packages with modules of the same names do not see each other.

    Code decides by itself where it runs: `visible_gpu` is not for it.
    """
    entry = package.read_object(MODEL_CONFIG)
    for key in ("entrypoint", "entrypoint_package"):
        if not isinstance(entry.get(key), str):
            raise NeuropodError(f"{MODEL_CONFIG}: '{key}' must be a string, got {json.dumps(entry.get(key))}")
    if package.has(requirements.LOCK):
        requirements.check_installed(package.read(requirements.LOCK).decode(), str(package.path))
    folder = package.files.folder("")
    if package.config.custom_ops:
        custom_ops.add_python_modules(folder / OPS, package.config.custom_ops)
    code = _Code(folder / CODE, folder / OPS)
    try:
        model = code.call(entry["entrypoint_package"], entry["entrypoint"], str(folder / DATA))
    except BaseException:
        code.forget()
        raise
    return PythonRunner(model, code, package.metadata.gradients or False)


class PythonRunner:
    """A callable that takes the inputs by name and returns a dict of numpy arrays."""

    def __init__(self, model: Callable[..., Any], code: _Code, gradients: bool = False) -> None:
        self._model = model
        self._code = code
        self._gradients = gradients

    def run(self, inputs: Mapping[str, NDArray[Any]], wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
        given = list(inputs.values())
        return {name: _own(array, given) for name, array in self._outputs(inputs).items()}

    def run_into(
        self, inputs: Mapping[str, NDArray[Any]], wanted: Sequence[str], empty: Empty
    ) -> dict[str, NDArray[Any]]:
        """`backends.RunnerInto`: the model makes its outputs' memory itself."""
        return self._outputs(inputs)

    def _outputs(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        outputs = self._call({name: _given(name, array) for name, array in inputs.items()})
        if not isinstance(outputs, Mapping):
            raise NeuropodError(f"the model must return a dict of numpy arrays, got {type(outputs).__name__}")
        return {name: _array(name, value) for name, value in outputs.items()}

    def _call(self, values: Mapping[str, NDArray[Any]]) -> Any:
        with self._code.named(), _with_gradients() if self._gradients else nullcontext():
            try:
                return self._model(**values)
            except RuntimeError as error:
                hint = "" if self._gradients else gradients_hint(error)
                if not hint:
                    raise
                raise NeuropodError(f"failed: {said(error)}{hint}") from error

    def close(self) -> None:
        self._code.forget()


def _given(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Returns an array of the model's own over the same memory: no caller or later call sees its `x.shape = ...`."""
    if not is_string(array):
        return array.view()
    with of_tensor(f"input '{name}'"):
        return to_unicode(array).view()


def _array(name: str, value: object) -> NDArray[Any]:
    if not isinstance(value, np.ndarray | np.generic):
        raise NeuropodError(f"All outputs must be numpy arrays! Output `{name}` was of type `{type(value)}`")
    array = np.asarray(value)
    if is_string(array):
        with of_tensor(f"output '{name}'"):
            return to_unicode(array)
    return array


def _own(array: NDArray[Any], inputs: list[NDArray[Any]]) -> NDArray[Any]:
    return private_copy(array) if not is_string(array) and shares_memory(array, inputs) else array


def _spec_of(name: str, folder: Path) -> importlib.machinery.ModuleSpec:
    """Returns how a code tree is imported as a package; packagers of the first years wrote no __init__.py into it."""
    if not folder.is_dir():
        raise NeuropodError(f"the package has no folder {CODE}; pack it again")
    init = folder / "__init__.py"
    loader = SourceLoader(name, str(init)) if init.is_file() else None
    spec = importlib.machinery.ModuleSpec(name, loader, origin=str(init) if loader else None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    spec.has_location = loader is not None
    return spec


@contextmanager
def _with_gradients() -> Iterator[None]:
    """Torch computes gradients, whatever the caller has set."""
    torch = import_torch()
    with torch.inference_mode(False), torch.enable_grad():
        yield


class _Code:
    """A package's code tree as one importable package with a name that nothing else has."""

    def __init__(self, folder: Path, ops: Path) -> None:
        self._name = f"neuropod_{uuid.uuid4().hex}"
        self._ops = ops
        self._spec = _spec_of(self._name, folder)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Answers Python's import for the modules of this tree only."""
        if name == self._name:
            return self._spec
        if not name.startswith(f"{self._name}."):
            return None
        found = (importlib.machinery.FileFinder(folder, *LOADERS).find_spec(name) for folder in path or ())
        return next((spec for spec in found if spec is not None), None)

    def call(self, module_name: str, function: str, data_path: str) -> Callable[..., Any]:
        """Imports the module and returns what its entry point makes of the data folder: the model."""
        sys.meta_path.insert(0, self)
        if not hasattr(sys, "argv"):
            sys.argv = [""]
        with self.named():
            module = self._import(module_name)
            make = getattr(module, function, None)
            if not callable(make):
                raise NeuropodError(
                    f"the entry point '{module_name}.{function}' is not a function in the package's code"
                )
            model = make(data_path)
        if not callable(model):
            raise NeuropodError(f"the entry point '{module_name}.{function}' must return a callable, got {type(model)}")
        return model  # type: ignore[no-any-return]

    def _import(self, module_name: str) -> ModuleType:
        full = f"{self._name}.{module_name}"
        try:
            return importlib.import_module(full)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{full}.".startswith(f"{error.name}."):
                raise  # a different one, which the code asks for
            raise NeuropodError(
                f"the entry point's module '{module_name}' is not in the package's code ({CODE}); it holds "
                f"{', '.join(self._modules()) or 'no modules'}"
            ) from error

    def _modules(self) -> list[str]:
        """Returns the names of the modules at the top of the tree, sorted."""
        folder = Path(str((self._spec.submodule_search_locations or [""])[0]))
        names = {path.name.partition(".")[0] for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}
        return sorted(names - {"__init__", "__pycache__"})

    @contextmanager
    def named(self) -> Iterator[None]:
        """What the code raises leaves as our error, without the name under which the code is imported here."""
        try:
            yield
        except (NeuropodError, KeyboardInterrupt):
            raise
        except BaseException as error:
            text = said(error)
            if f"{self._name}." not in text:
                raise
            raise NeuropodError(f"failed: {text.replace(f'{self._name}.', '')}") from error

    def forget(self) -> None:
        """Takes the modules out of Python's table; code that still runs keeps its own."""
        custom_ops.forget_python_modules(self._ops)
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        # a list first: another thread may be importing
        for name in [n for n in list(sys.modules) if n == self._name or n.startswith(f"{self._name}.")]:
            del sys.modules[name]
