"""A loaded model: whatever its framework, one `infer`."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from perceptum.foreign import foreign, said

from .backends import Runner, find_backend
from .errors import NeuropodError, WorkerError
from .frameworks.handoff import STRINGS, aligned_empty, private_copy
from .frameworks.incoming import as_numpy
from .frameworks.outgoing import converter
from .frameworks.versions import check_version
from .package.config import Config
from .package.package import Package, open_package
from .package.trust import Trust
from .process.line import Line
from .validation import compile_checks

if TYPE_CHECKING:
    from perceptum.features import Schema

    from .process.memory import SharedMemory

__all__ = ["LEVELS", "Model", "Sealed", "load_runner", "open_model", "why_code"]

LEVELS = ("full", "cheap", "off")
"""How much of each call is checked: all; names, types and ranks of the inputs; nothing."""

# numpy's letters for the numbers and texts that a spec can hold
_CHARS = frozenset("bBhHiIlLqQfdSUT")
_log = logging.getLogger(__name__)


class Sealed(NamedTuple):
    """An input that is written: what computes may begin to move it to where it computes. `infer` takes it."""

    name: str
    array: NDArray[Any]


class Model:
    """A model with its spec, run in this process or in a worker. `infer` may be called from several threads."""

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
        self._memory: SharedMemory | None = getattr(runner, "memory", None)
        self._seal = getattr(runner, "seal", None)
        self._line: Line | None = None
        self._lock = threading.Lock()

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
        runner = self._open_runner()
        try:
            convert = None if outputs == "numpy" else converter(outputs, self._backend.FRAMEWORK)
            requested = self._requested(requested_outputs)
            arrays = {name: _array(name, value) for name, value in inputs.items()}
            self._check_inputs(arrays)  # before anything is copied: a wrong size may be a huge one
            for name, array in arrays.items():
                flags = array.flags
                if not (flags.c_contiguous and flags.aligned):
                    arrays[name] = self._contiguous(name, array)
            found = runner.run(arrays, requested or self._outputs)
            if requested:
                found = {name: found[name] for name in requested if name in found}
            self._check_outputs(found)
            own = {name: a if a.flags.c_contiguous else private_copy(a) for name, a in found.items()}
            return own if convert is None else {name: convert(array) for name, array in own.items()}
        except WorkerError as error:
            raise error.reworded(f"model '{self.name}': {error}") from error.__cause__
        except NeuropodError as error:
            raise NeuropodError(f"model '{self.name}': {error}") from error.__cause__
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a model's own code may raise anything, SystemExit too
            _require_mapping(self.name, inputs)
            raise NeuropodError(f"model '{self.name}' {self._absent(inputs)}failed: {said(error)}") from error

    def _open_runner(self) -> Runner:
        # looked at once: another thread may close the model at any moment
        runner = self._runner
        if runner is None:
            raise NeuropodError(f"model '{self.name}' is closed; load it again")
        return runner

    def infer_async(
        self, inputs: Mapping[str, Any], requested_outputs: Iterable[str] | None = None, *, outputs: str = "numpy"
    ) -> Future[dict[str, Any]]:
        """As infer, in another thread: returns a future at once, or when there is room in the queue.

        Calls are answered in order, as many at once as the model has workers. A future that is cancelled before its
        turn is not run. The arrays must not be changed until it is done.

        Raises NeuropodError where the model is closed, or this process was forked from the one that has called it.
        """
        # two threads that ask at once share one line
        with self._lock:
            runner = self._open_runner()
            if self._line is None:
                self._line = Line(getattr(runner, "workers", 1))
            line = self._line
        try:
            return line.put(partial(self.infer, inputs, requested_outputs, outputs=outputs))
        except RuntimeError as error:
            raise NeuropodError(f"model '{self.name}': {error}") from None

    def seal(self, name: str, array: Any) -> Sealed:
        """Says that an input is written, while others are not yet: what runs the model may begin to move it.

        Returns what `infer` takes in its place. Raises NeuropodError where the input is not as the spec says.
        """
        try:
            found = _array(name, array)
            self._check_inputs({name: found})
        except NeuropodError as error:
            raise NeuropodError(f"model '{self.name}': {error}") from error.__cause__
        if self._seal is not None:
            self._seal(name, found)
        return Sealed(name, found)

    @property
    def allocator(self) -> SharedMemory | None:
        """What owns the memory that inputs are best built into; None where any memory will do."""
        return self._memory

    def allocate(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """Returns memory for an input that no hand-off copies: 64-byte aligned, and shared with the worker if there is
        one. What is in it is not said."""
        size, kind = tuple(shape), np.dtype(dtype)
        return aligned_empty(size, kind) if self._memory is None else self._memory.empty(size, kind)

    @property
    def worker_pids(self) -> tuple[int, ...]:
        """The processes that run the model now; empty where this one does."""
        return tuple(getattr(self._runner, "pids", ()))

    def _absent(self, inputs: Mapping[str, Any]) -> str:
        """Names the inputs that were not given: each may be left out, but a model that failed may have needed them."""
        names = [row.name for row in self._config.inputs if row.name not in inputs]
        return f"was not given {', '.join(names)}, and " if names else ""

    def copies(self, inputs: Mapping[str, Any]) -> dict[str, str]:
        """Returns why each of these inputs is copied on its way into the framework; those that are not are left out."""
        arrays = {name: as_numpy(name, value) for name, value in inputs.items()}
        with foreign(f"model '{self.name}': its backend cannot say what it copies", NeuropodError):
            reasons = {name: self._backend.copy_reason(array) for name, array in arrays.items()}
        if self._memory is not None:
            for name, array in arrays.items():
                if reasons[name] is None and not self._memory.holds(array):
                    reasons[name] = "it does not lie in memory that the worker shares"
        return {name: reason for name, reason in reasons.items() if reason is not None}

    def copies_out(self) -> dict[str, str]:
        """Returns why each output is copied on its way out of the framework; those that are not are left out.

        In process all but text comes as the framework made it, unless it is an input, a weight or another output. In a
        worker, what is small is always copied, and so is what has a size that only the framework knows.
        """
        is_copied = self._memory is not None and not getattr(self._backend, "WRITES_IN_PLACE", False)
        own = "its framework makes memory of its own for it, which the worker does not share" if is_copied else None
        reasons = {row.name: STRINGS if row.dtype == "string" else own for row in self._config.outputs}
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
            if array.dtype.kind not in "iuf":
                return np.array(array, order="C")
            if self._memory is None:
                return private_copy(array)
            copied: NDArray[Any] = self._memory.empty(array.shape, array.dtype)
            copied[...] = array
            return copied
        except (MemoryError, ValueError) as error:
            shape = f"{array.dtype} {array.shape}"
            raise NeuropodError(f"input '{name}' is not contiguous, and cannot be copied: {shape}") from error

    def close(self) -> None:
        """Gives back the model's memory and files; a second call does nothing."""
        with self._lock:
            runner, self._runner = self._runner, None
            line = self._line
        if line is not None:
            line.close()
        if runner is not None:
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
    if type(value) is Sealed:
        value = value.array
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
        return Model(package, load_runner(package, visible_gpu, partial(package.metadata.check, schema)), validate)
    except BaseException:
        package.files.close()
        raise


def load_runner(package: Package, visible_gpu: int | None, check: Callable[[], None] | None = None) -> Runner:
    """Loads a package's model in this process; raises NeuropodError that names the package.

    check: run before the model's files are read.
    """
    try:
        backend = find_backend(package.config.platform)
        if backend.RUNS_CODE or package.config.custom_ops:
            package.require_trust(why_code(package.config))
        if package.config.platform_version_semver != "*":
            check_version(package.config.platform, backend.version(), package.config.platform_version_semver)
        if check is not None:
            check()
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
