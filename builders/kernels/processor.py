"""What processors can do and numba has no words for. Addresses are whole numbers, as in `record`."""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba.extending import intrinsic

__all__ = ["LINE", "copy_line", "multiply_add", "reach"]

LINE = 64
"""Bytes of a cache line."""

_FLOAT, _INT = ir.FloatType(), ir.IntType(32)
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


def _to_reach(_: Any, address: Any) -> Any:
    """Asks the processor to bring memory near, to be read soon; it may be anywhere. To be written: `record.fetch`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        memory = builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [memory.type, _INT, _INT, _INT])
        # to be read; of use for long; data, not code
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [memory.type], kind)
        builder.call(prefetch, [memory, _INT(0), _INT(3), _INT(1)])
        return context.get_dummy_value()

    return numba.types.void(numba.types.int64), generate


copy_line: Any = intrinsic(_to_copy_line)
multiply_add: Any = intrinsic(_to_multiply_add)
reach: Any = intrinsic(_to_reach)
