"""A loaded model: whatever its framework, one `infer`."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from perceptum.foreign import foreign, said

from .backends import Runner, find_backend
from .errors import NeuropodError
from .frameworks.handoff import private_copy
from .frameworks.incoming import as_numpy
from .frameworks.outgoing import converter
from .frameworks.versions import check_version
from .package.config import Config
from .package.package import Package, open_package
from .package.trust import Trust
from .validation import compile_checks

if TYPE_CHECKING:
    from perceptum.features import Schema

__all__ = ["LEVELS", "Model", "open_model", "why_code"]

LEVELS = ("full", "cheap", "off")
"""How much of each call is checked: all; names, types and ranks of the inputs; nothing."""

# numpy's letters for the numbers and texts that a spec can hold
_CHARS = frozenset("bBhHiIlLqQfdSUT")
_log = logging.getLogger(__name__)


class Model:
    """A model with its spec. `infer` may be called from several threads."""

    def __init__(self, package: Package, runner: Runner, validate: str) -> None:
        self._config = package.config
        self._path = package.path
        self._runner: Runner | None = runner
        self._files = package.files
        self._why_code = package.why_code
        self._check_inputs = compile_checks(self._config.inputs, "input spec", validate)
        self._check_outputs = compile_checks(
            self._config.outputs, "output spec", "full" if validate == "full" else "off"
        )
        self._outputs = tuple(row.name for row in self._config.outputs)
        self._backend = find_backend(self._config.platform)
        self._warned: set[str] = set()

    @property
    def name(self) -> str:
        return self._config.name

    @property
    def platform(self) -> str:
        return self._config.platform

    @property
    def code(self) -> str | None:
        """What makes the package code, which can do anything that you can; None where it is data."""
        return "; ".join(self._why_code) or None

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """The input spec, in order: rows of name, dtype and shape (a list), and params where there are any."""
        return [row.to_dict() for row in self._config.inputs]

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """The output spec, in the same form."""
        return [row.to_dict() for row in self._config.outputs]

    def infer(
        self, inputs: Mapping[str, Any], requested_outputs: Iterable[str] | None = None, *, outputs: str = "numpy"
    ) -> dict[str, Any]:
        """Returns the outputs by name: the requested ones, or all where none is requested.

        inputs: arrays of numpy, or tensors of torch, TensorFlow, JAX or Arrow, as the input spec says (`incoming` says
            which of them are copied); nothing is cast, none is changed, and each may be left out where the model can do
            without. Strings are unicode arrays, both ways.
        outputs: "numpy" arrays, or "native", the tensors of the model's own framework, or "torch", "tensorflow" or
            "jax". They are the caller's own: no later call changes them.

        Raises NeuropodError that names the model.
        """
        if self._runner is None:
            raise NeuropodError(f"model '{self.name}' is closed; load it again")
        try:
            convert = None if outputs == "numpy" else converter(outputs, self._backend.FRAMEWORK)
            requested = self._requested(requested_outputs)
            arrays = {name: _array(name, value) for name, value in inputs.items()}
            self._check_inputs(arrays)  # before anything is copied: a wrong size may be a huge one
            for name, array in arrays.items():
                flags = array.flags
                if not (flags.c_contiguous and flags.aligned):
                    arrays[name] = self._contiguous(name, array)
            found = self._runner.run(arrays, requested or self._outputs)
            if requested:
                found = {name: found[name] for name in requested if name in found}
            self._check_outputs(found)
            own = {name: a if a.flags.c_contiguous else private_copy(a) for name, a in found.items()}
            return own if convert is None else {name: convert(array) for name, array in own.items()}
        except NeuropodError as error:
            raise NeuropodError(f"model '{self.name}': {error}") from error.__cause__
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a model's own code may raise anything, SystemExit too
            _require_mapping(self.name, inputs)
            raise NeuropodError(f"model '{self.name}' {self._absent(inputs)}failed: {said(error)}") from error

    def _absent(self, inputs: Mapping[str, Any]) -> str:
        """Names the inputs that were not given: each may be left out, but a model that failed may have needed them."""
        names = [row.name for row in self._config.inputs if row.name not in inputs]
        return f"was not given {', '.join(names)}, and " if names else ""

    def copies(self, inputs: Mapping[str, Any]) -> dict[str, str]:
        """Returns why each of these inputs is copied on its way into the framework; those that are not are left out."""
        arrays = {name: as_numpy(name, value) for name, value in inputs.items()}
        with foreign(f"model '{self.name}': its backend cannot say what it copies", NeuropodError):
            reasons = {name: self._backend.copy_reason(array) for name, array in arrays.items()}
        return {name: reason for name, reason in reasons.items() if reason is not None}

    def _requested(self, names: Iterable[str] | None) -> tuple[str, ...]:
        if names is None:
            return ()
        names = (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))
        for name in names:
            if name not in self._outputs:
                raise NeuropodError(
                    f"Tried to request a tensor that does not exist: {name}; there are {', '.join(self._outputs)}"
                )
        return names

    def _contiguous(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        if name not in self._warned:
            self._warned.add(name)
            _log.warning("model '%s': input '%s' is not contiguous and is copied in each call", self.name, name)
        try:
            return private_copy(array) if array.dtype.kind in "iuf" else np.array(array, order="C")
        except (MemoryError, ValueError) as error:
            shape = f"{array.dtype} {array.shape}"
            raise NeuropodError(f"input '{name}' is not contiguous, and cannot be copied: {shape}") from error

    def close(self) -> None:
        """Gives back the model's memory and files; a second call does nothing."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            try:
                with foreign(f"model '{self.name}' cannot be closed", NeuropodError):
                    runner.close()
            finally:
                self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Model '{self.name}' ({self.platform}) from {self._path}>"


def _array(name: str, value: Any) -> NDArray[Any]:
    """Returns an input as a plain array of a type that a spec can hold."""
    array = value if type(value) is np.ndarray else as_numpy(name, value)
    dtype = array.dtype
    if dtype.char not in _CHARS or not dtype.isnative:
        raise NeuropodError(
            f"Unsupported array type in python bindings: {dtype.kind} (input '{name}' is {dtype.str}; "
            "nothing is cast, give it the spec's dtype)"
        )
    return array


def _require_mapping(model: str, inputs: object) -> None:
    if not isinstance(inputs, Mapping):
        raise NeuropodError(
            f"model '{model}': inputs must be a dict, name to array, got {type(inputs).__name__}"
        ) from None


def open_model(
    path: str | os.PathLike[str],
    *,
    trust: Trust,
    visible_gpu: int | None,
    validate: str,
    schema: Schema | None,
) -> Model:
    """Opens a package and loads its model in this process; raises NeuropodError that names the package."""
    if validate not in LEVELS:
        raise NeuropodError(f"validate must be {' or '.join(map(repr, LEVELS))}, got {validate!r}")
    package = open_package(path, trust)
    try:
        return Model(package, _load(package, visible_gpu, schema), validate)
    except BaseException:
        package.files.close()
        raise


def _load(package: Package, visible_gpu: int | None, schema: Schema | None) -> Runner:
    try:
        backend = find_backend(package.config.platform)
        if backend.RUNS_CODE or package.config.custom_ops:
            package.require_trust(why_code(package.config))
        if package.config.platform_version_semver != "*":
            check_version(package.config.platform, backend.version(), package.config.platform_version_semver)
        package.metadata.check(schema)
        return backend.load(package, visible_gpu)
    except NeuropodError as error:
        raise type(error)(f"{package.path}: {error}") from error.__cause__
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a model's own code may raise anything, SystemExit too
        raise NeuropodError(f"{package.path}: loading failed: {said(error)}") from error


def why_code(config: Config) -> str:
    """Returns what makes a package code, if it is."""
    return "it brings custom ops" if config.custom_ops else f"platform '{config.platform}'"
