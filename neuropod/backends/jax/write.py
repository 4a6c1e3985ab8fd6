"""Writing a JAX package: a function is exported for the sizes that its spec allows, for CPUs and NVIDIA GPUs."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np

from perceptum.foreign import foreign, let_interrupts_pass

from ...errors import NeuropodError
from ...frameworks.jax import import_jax
from ...package.archive import copy_file
from ...package.config import Config
from ..signature import check_sizes, check_types, refuse_strings
from . import MODEL, plan_call, read_exported

__all__ = ["write"]

PLATFORMS = ("cpu", "cuda")

_log = logging.getLogger(__name__)


def write(
    folder: Path,
    config: Config,
    function: Callable[..., Any] | None,
    exported: Any,
    exported_path: str | os.PathLike[str] | None,
) -> None:
    """Writes one of the three: a function that takes arrays by keyword, an Exported, or the file of one."""
    refuse_strings("JAX", config)
    target = folder / MODEL
    target.parent.mkdir(parents=True)
    if exported_path is not None:
        copy_file(exported_path, target)
    else:
        if function is not None:
            exported = _pure(function, config)
        if not hasattr(exported, "serialize"):
            raise NeuropodError(f"exported must be a jax.export.Exported, got {type(exported).__name__}")
        target.write_bytes(bytes(exported.serialize()))
    found = read_exported(target.read_bytes())
    plan_call(found, config)
    _check_tensors(found, config)


def _pure(function: Callable[..., Any], config: Config) -> Any:
    """Returns the function exported; raises NeuropodError where it differs the second time: what it keeps
    outside of itself is a constant once it is exported."""
    # in one line, since the export records where it was called
    once, again = (export_function(function, config) for _ in range(2))
    if once.mlir_module_serialized != again.mlir_module_serialized:
        raise NeuropodError(
            "the function keeps state outside of itself, or draws from a generator of numpy: exported twice, it is not "
            "the same; make the state an input and an output"
        )
    return once


def export_function(function: Callable[..., Any], config: Config) -> Any:
    """Returns the function exported with the spec's shapes: a symbol is one size, each None any size.

    Sizes may be 0 where JAX can trace the function for that; else they are 1 or more.
    """
    jax = import_jax()
    wide = any(np.dtype(row.dtype).itemsize == 8 for row in (*config.inputs, *config.outputs))

    @wraps(function)
    def fresh(**values: Any) -> Any:  # JAX would remember how it traced the function itself
        return function(**values)

    exporter = jax.export.export(jax.jit(fresh), platforms=PLATFORMS)
    with jax.enable_x64(wide or bool(jax.config.jax_enable_x64)):
        try:
            return exporter(**_arguments(config, least=0))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever the function raises when it is traced; it may not when no size is 0
            let_interrupts_pass(error)
            _log.info("JAX cannot trace the function for empty arrays; they will be refused")
        with foreign("JAX cannot export the function for this spec", NeuropodError):
            return exporter(**_arguments(config, least=1))


def _arguments(config: Config, least: int) -> dict[str, Any]:
    jax = import_jax()
    scope = jax.export.SymbolicScope()
    arguments = {}
    for number, row in enumerate(config.inputs):
        names = [_dimension(number, axis, dim, least) for axis, dim in enumerate(row.shape)]
        shape = jax.export.symbolic_shape(", ".join(names), scope=scope) if names else ()
        arguments[row.name] = jax.ShapeDtypeStruct(shape, np.dtype(row.dtype))
    return arguments


def _dimension(number: int, axis: int, dim: int | str | None, least: int) -> str:
    """Returns a size in JAX's words, whose variables are 1 or more."""
    if isinstance(dim, int):
        return str(dim)
    name = f"free_{number}_{axis}" if dim is None else dim
    if not name.isidentifier():
        raise NeuropodError(f"JAX cannot take the symbol '{dim}' for a size; name it like a variable")
    return name if least else f"{name}_and_1 - 1"


def _check_tensors(exported: Any, config: Config) -> None:
    """Compares dtypes and sizes of the inputs, and the dtypes of the outputs that have names, with the spec's."""
    jax = import_jax()
    args, kwargs = jax.tree.unflatten(exported.in_tree, exported.in_avals)
    given = args[0] if len(args) == 1 and isinstance(args[0], dict) else kwargs
    if args and given is kwargs:
        given = dict(zip((row.name for row in config.inputs), args, strict=True))
    answer = jax.tree.unflatten(exported.out_tree, exported.out_avals)
    for rows, side in ((config.inputs, given), (config.outputs, answer)):
        if isinstance(side, dict):
            check_types("function", rows, {name: str(aval.dtype) for name, aval in side.items()})
    check_sizes(
        "function",
        config.inputs,
        {name: aval.shape for name, aval in given.items()},
        "export it with jax.export.symbolic_shape",
    )
