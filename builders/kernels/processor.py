"""What processors can do, but numba has no functions for. Addresses are whole numbers, as in `record`."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

__all__ = [
    "LARGEST",
    "LINE",
    "add_four",
    "copy_four",
    "copy_line",
    "divide_four",
    "multiply_add",
    "write_four",
    "write_offsets",
]

LARGEST = float(np.finfo(np.float32).max)
LINE = 64
"""Bytes of a cache line."""

_FLOAT = ir.FloatType()
_NUMBERS = ir.VectorType(_FLOAT, LINE // 4)
_FOUR, _LANE = ir.VectorType(_FLOAT, 4), ir.IntType(32)


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


def _to_add_four(_: Any, a: Any, b: Any, c: Any, d: Any, address: Any) -> Any:
    """Adds to the four float32 numbers at an address, at once."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        more = ir.Constant(_FOUR, ir.Undefined)
        for lane, number in enumerate(arguments[:4]):
            more = builder.insert_element(more, number, _LANE(lane))
        target = builder.inttoptr(arguments[4], _FOUR.as_pointer())
        builder.store(builder.fadd(builder.load(target, align=4), more), target, align=4)
        return context.get_dummy_value()

    return numba.types.void(*[numba.types.float32] * 4, numba.types.int64), generate


def _to_write_four(_: Any, a: Any, b: Any, c: Any, d: Any, address: Any) -> Any:
    """Writes four float32 numbers to an address, at once."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        four = ir.Constant(_FOUR, ir.Undefined)
        for lane, number in enumerate(arguments[:4]):
            four = builder.insert_element(four, number, _LANE(lane))
        builder.store(four, builder.inttoptr(arguments[4], _FOUR.as_pointer()), align=4)
        return context.get_dummy_value()

    return numba.types.void(*[numba.types.float32] * 4, numba.types.int64), generate


def _to_divide_four(_: Any, by: Any, source: Any, address: Any) -> Any:
    """Writes the four float32 numbers at one address, divided, to another, at once; infinite ones as the largest."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number, source, address = arguments
        four = ir.Constant(_FOUR, ir.Undefined)
        for lane in range(4):
            four = builder.insert_element(four, number, _LANE(lane))
        source, target = (builder.inttoptr(each, _FOUR.as_pointer()) for each in (source, address))
        found = builder.fdiv(builder.load(source, align=4), four)
        for sign, beyond in ((1, ">"), (-1, "<")):
            most = ir.Constant(_FOUR, [sign * LARGEST] * 4)
            found = builder.select(builder.fcmp_ordered(beyond, found, most), most, found)
        builder.store(found, target, align=4)
        return context.get_dummy_value()

    return numba.types.void(numba.types.float32, numba.types.int64, numba.types.int64), generate


def _to_copy_four(_: Any, source: Any, address: Any) -> Any:
    """Copies four float32 numbers from one address to another, at once."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, target = (builder.inttoptr(address, _FOUR.as_pointer()) for address in arguments)
        builder.store(builder.load(source, align=4), target, align=4)
        return context.get_dummy_value()

    return numba.types.void(numba.types.int64, numba.types.int64), generate


def _to_write_offsets(
    _: Any, source: Any, a_x: Any, a_y: Any, a_z: Any, b_x: Any, b_y: Any, b_z: Any, address: Any
) -> Any:
    """Writes x, y, z less a, and x, y, z less b: six float32 numbers, in two stores.

    source: the address of x, y, z, float32, and of a fourth number, whatever it is.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, *numbers, address = arguments

        def less(x: Any, y: Any, z: Any) -> Any:
            other = ir.Constant(_FOUR, [0.0] * 4)
            for lane, number in enumerate((x, y, z)):
                other = builder.insert_element(other, number, _LANE(lane))
            return builder.fsub(point, other)

        def store(a: Any, b: Any, lanes: list[int], offset: int) -> None:
            some = builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_LANE, len(lanes)), lanes))
            place = builder.add(address, ir.IntType(64)(offset))
            builder.store(some, builder.inttoptr(place, some.type.as_pointer()), align=4)

        point = builder.load(builder.inttoptr(source, _FOUR.as_pointer()), align=4)
        from_a, from_b = less(*numbers[:3]), less(*numbers[3:])
        store(from_a, from_b, [0, 1, 2, 4], 0)
        store(from_b, from_b, [1, 2], 16)
        return context.get_dummy_value()

    word = numba.types.int64
    return numba.types.void(word, *[numba.types.float32] * 6, word), generate


add_four: Any = intrinsic(_to_add_four)
divide_four: Any = intrinsic(_to_divide_four)
copy_four: Any = intrinsic(_to_copy_four)
copy_line: Any = intrinsic(_to_copy_line)
multiply_add: Any = intrinsic(_to_multiply_add)
write_four: Any = intrinsic(_to_write_four)
write_offsets: Any = intrinsic(_to_write_offsets)
