"""What processors can do, but numba has no functions for. Addresses are whole numbers, as in `record`."""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba.extending import intrinsic

__all__ = ["LINE", "copy_line", "multiply_add"]

LINE = 64
"""Bytes of a cache line."""

_FLOAT = ir.FloatType()
_NUMBERS = ir.VectorType(_FLOAT, LINE // 4)


def _to_copy_line(_: Any, source: Any, address: Any) -> Any:
    """Copies as many float32 numbers as a cache line holds from one address to another."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, target = (builder.inttoptr(address, _NUMBERS.as_pointer()) for address in arguments)
        builder.store(builder.load(source, align=4), target, align=4)
        return context.get_dummy_value()

    return numba.types.void(numba.types.int64, numba.types.int64), generate


def _to_multiply_add(_: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c in float32, rounded once or twice, whatever the processor does faster: for estimates only."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(_FLOAT, [_FLOAT] * 3)
        return builder.call(builder.module.declare_intrinsic("llvm.fmuladd", [_FLOAT], kind), arguments)

    return numba.types.float32(*[numba.types.float32] * 3), generate


copy_line: Any = intrinsic(_to_copy_line)
multiply_add: Any = intrinsic(_to_multiply_add)
