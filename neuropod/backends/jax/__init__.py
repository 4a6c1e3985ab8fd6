"""JAX functions, stored by jax.export: compiled operations, no Python. Inputs that start on a multiple of 64 are read
in place; outputs are in memory that JAX made for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.foreign import said

from ...errors import NeuropodError
from ...frameworks.handoff import why_copied
from ...frameworks.jax import import_jax
from ...frameworks.strings import is_string
from ...frameworks.versions import framework_version
from ...package.config import Config
from ...package.package import DATA, Package
from ..signature import check_names

__all__ = [
    "FRAMEWORK",
    "MODEL",
    "RUNS_CODE",
    "Names",
    "copy_reason",
    "load",
    "plan_call",
    "read_exported",
    "version",
]

FRAMEWORK = "jax"
RUNS_CODE = False

MODEL = f"{DATA}/model.jax"

Names = tuple[tuple[str, ...], tuple[str, ...]]

# What a function may call outside of itself: JAX's own solvers, and notes to its compiler. Others call Python's
# functions, by number or by address, or bring machine code.
_KNOWN_CALLS = re.compile(
    r"(lapack|cu|hip|tridiagonal)\w*_ffi|(cu|hip)_lu_pivots_to_permutation|__cudnn\$\w+|Sharding|SPMD\w+|"
    r"annotate_device_placement|shape_assertion|(stablehlo|chlo|mhlo|xla\.sdy)\.\w+|ApproxTopK|AllocateBuffer|"
    r"Eigh|LuDecomposition|ProductOfElementaryHouseholderReflectors|Qr"
)
_CALLS = re.compile(r'custom_call @("[^"]*"|[\w$.\-]+)|call_target_name = ("[^"]*")')
_BYTECODE = b"ML\xefR"


def version() -> str:
    return framework_version("jax", import_jax)


def copy_reason(array: NDArray[Any]) -> str | None:
    return why_copied(array, aligned=True)


def load(package: Package, visible_gpu: int | None) -> JaxRunner:
    jax = import_jax()
    exported = read_exported(package.read(MODEL))
    call = plan_call(exported, package.config)
    on_gpu = visible_gpu is not None and visible_gpu >= 0 and jax.default_backend() != "cpu"
    device = jax.devices()[visible_gpu] if on_gpu else jax.devices("cpu")[0]
    kind = {"gpu": "cuda"}.get(device.platform, device.platform)
    if kind not in exported.platforms:
        wanted = ", ".join(exported.platforms)
        raise NeuropodError(f"{MODEL}: was exported for {wanted}, this is {kind}; export it for both")
    return JaxRunner(call, exported, package.config, device)


class JaxRunner:
    """An exported function, compiled for each new set of sizes when it first meets them."""

    def __init__(
        self, call: Callable[[Mapping[str, Any]], Any], exported: Any, config: Config, device: Any = None
    ) -> None:
        jax = self._jax = import_jax()
        self._call: Callable[[Mapping[str, Any]], Any] | None = call
        self._outputs = tuple(row.name for row in config.outputs)
        self._device = None if device is None or device == jax.devices()[0] else device
        # without it JAX reads every 64-bit number as 32 bits
        self._wide = any(np.dtype(aval.dtype).itemsize == 8 for aval in (*exported.in_avals, *exported.out_avals))

    def run(self, inputs: Mapping[str, NDArray[Any]], wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
        assert self._call is not None
        for name, array in inputs.items():
            if is_string(array):
                raise NeuropodError(f"input '{name}' holds text; JAX has numbers only")
        with ExitStack() as stack:
            if self._wide:
                stack.enter_context(self._jax.enable_x64(True))
            if self._device is not None:
                stack.enter_context(self._jax.default_device(self._device))
            answer = self._call(inputs)
        return {name: _to_numpy(value) for name, value in _named(answer, self._outputs).items()}

    def close(self) -> None:
        self._call = None


class _Memory:
    """Lends a JAX array's memory to numpy, to be written to: nothing else uses that array."""

    def __init__(self, array: Any) -> None:
        self._array = array
        self.__array_interface__ = {
            "version": 3,
            "shape": array.shape,
            "typestr": np.dtype(array.dtype).str,
            "data": (array.unsafe_buffer_pointer(), False),
        }


def _to_numpy(value: Any) -> NDArray[Any]:
    """Returns JAX's own memory; the call waits for it, so that no input is read afterwards."""
    value.block_until_ready()
    if value.size == 0 or next(iter(value.devices())).platform != "cpu" or np.dtype(value.dtype).kind not in "biuf":
        return np.array(value)
    return np.asarray(_Memory(value))


def _named(answer: Any, outputs: tuple[str, ...]) -> Mapping[str, Any]:
    """Returns the outputs by name, in the spec's order (JAX sorts a dict); a tuple or a single array has the spec's."""
    if isinstance(answer, Mapping):
        return {**{name: answer[name] for name in outputs if name in answer}, **answer}
    values = answer if isinstance(answer, tuple | list) else (answer,)
    if len(values) != len(outputs):
        raise NeuropodError(f"the function returned {len(values)} arrays, the output spec names {len(outputs)}")
    return dict(zip(outputs, values, strict=True))


def read_exported(data: bytes) -> Any:
    """Returns the jax.export.Exported of its bytes; raises NeuropodError for others, or for calls to Python."""
    import_jax()
    from jax import export

    try:
        exported = export.deserialize(bytearray(data))
    except Exception as error:  # flatbuffers and MLIR raise all kinds of errors
        raise NeuropodError(f"{MODEL}: JAX cannot load it: {said(error)}") from error
    _check_calls(exported)
    return exported


def _check_calls(exported: Any) -> None:
    """Raises NeuropodError where the function calls what is not known only to compute.

    Bytecode spells the names of operations out, but not always that of what a custom_call calls; as text it all is.
    """
    code: bytes = exported.mlir_module_serialized
    if not code.startswith(_BYTECODE):
        raise NeuropodError(f"{MODEL}: its function is not MLIR bytecode, which JAX writes; export it again")
    if b"custom_call" not in code:
        return
    for found in _CALLS.finditer(_text(code)):
        target = (found[1] or found[2]).strip('"')
        if not _KNOWN_CALLS.fullmatch(target):
            raise NeuropodError(
                f"{MODEL}: calls '{target}', which is not known to only compute; "
                "export it without callbacks into Python and kernels of your own"
            )


def _text(code: bytes) -> str:
    """Returns the function as text, without its weights: with 32 MB of them it takes 40 ms, not 200."""
    from jax.extend.mlir.dialects import stablehlo
    from jax.interpreters.mlir import make_ir_context

    try:
        with make_ir_context() as context:
            module = stablehlo.deserialize_portable_artifact(context, code)
            return str(module.operation.get_asm(large_elements_limit=16))
    except Exception as error:  # MLIR raises all kinds of errors
        raise NeuropodError(f"{MODEL}: JAX cannot load it: {said(error)}") from error


def plan_call(exported: Any, config: Config) -> Callable[[Mapping[str, Any]], Any]:
    """Returns the way to call the function by names: by keywords, with one dict, or in the order of the spec."""
    jax = import_jax()
    function = jax.jit(exported.call)
    args, kwargs = jax.tree.unflatten(exported.in_tree, exported.in_avals)
    outputs: dict[str, None] = dict.fromkeys(row.name for row in config.outputs)
    if not args:
        check_names("function", config, kwargs, outputs)
        return lambda values: function(**values)
    if len(args) == 1 and isinstance(args[0], dict) and not kwargs:
        check_names("function", config, args[0], outputs)
        return lambda values: function(dict(values))
    if kwargs or len(args) != len(config.inputs) or any(isinstance(arg, dict | list | tuple) for arg in args):
        raise NeuropodError("the function must take arrays by keyword, one dict of them, or one for each input's row")
    names = tuple(row.name for row in config.inputs)
    return lambda values: function(*_in_order(values, names))


def _in_order(values: Mapping[str, Any], names: tuple[str, ...]) -> list[Any]:
    for name in names:
        if name not in values:
            raise NeuropodError(f"failed: the function needs the input '{name}'; it takes {', '.join(names)}")
    return [values[name] for name in names]
