"""A record's columns as they are in memory: any stride, float16 to float64, whole numbers; read block by block.

A column comes as three whole numbers, its address, its stride in bytes and a `Kind`, and not as an array: numba
compiles a kernel once per combination of dtypes and layouts of its arguments, and a sweep has six columns. So there is
one kernel, that takes 3 s to compile, for every record. Whoever calls keeps the arrays alive meanwhile.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from perceptum.inputs.kernel import inner, kernel

__all__ = ["ABSENT", "BLOCK", "FLOAT16", "FLOAT32", "KINDS", "bits", "doubles", "fetch", "fetch_to_read", "floats"]
__all__ += ["longs", "read", "read_chosen", "settle", "stream", "value"]

BLOCK = 512
"""Points that are worked on together: seven columns of them stay in the first-level cache."""

ABSENT, UINT8, UINT16, INT32, INT64, FLOAT16, FLOAT32, FLOAT64 = range(-1, 7)
KINDS: dict[np.dtype[Any], int] = {
    np.dtype(np.uint8): UINT8,
    np.dtype(np.uint16): UINT16,
    np.dtype(np.int32): INT32,
    np.dtype(np.int64): INT64,
    np.dtype(np.float16): FLOAT16,
    np.dtype(np.float32): FLOAT32,
    np.dtype(np.float64): FLOAT64,
}
"""How the values of a column are written."""


def _to_memory(_: Any, address: Any) -> Any:
    """The memory at an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return numba.types.voidptr(numba.types.int64), generate


def _near(address: Any, to_write: bool) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        memory = builder.inttoptr(arguments[0], cgutils.voidptr_t)
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [memory.type, word, word, word])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [memory.type], kind)
        # read or write; how long it will be of use; data, not code
        builder.call(prefetch, [memory, word(int(to_write)), word(3), word(1)])
        return context.get_dummy_value()

    return numba.types.void(numba.types.int64), generate


def _set_bits(_: Any, word: Any) -> Any:
    """How many bits of a word are set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return numba.types.int64(numba.types.uint64), generate


def _to_cache(_: Any, address: Any) -> Any:
    """Asks the processor to bring memory near, to be read and written soon; it may be anywhere."""
    return _near(address, to_write=True)


def _to_cache_to_read(_: Any, address: Any) -> Any:
    """The same for memory that is only read."""
    return _near(address, to_write=False)


def _past_caches(_: Any, to: Any, source: Any, lines: Any) -> Any:
    """Copies so many cache lines to an address that is a multiple of 64, without reading what was there."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        line = ir.VectorType(ir.FloatType(), 16)
        out, values = (builder.inttoptr(address, line.as_pointer()) for address in arguments[:2])
        never_again = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
        with cgutils.for_range(builder, arguments[2]) as loop:
            found = builder.load(builder.gep(values, [loop.index]), align=4)
            builder.store(found, builder.gep(out, [loop.index]), align=64).set_metadata("nontemporal", never_again)
        return context.get_dummy_value()

    return numba.types.void(numba.types.int64, numba.types.int64, numba.types.int64), generate


def _settled(_: Any) -> Any:
    """Returns once what was streamed can be seen by other threads."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return numba.types.void(), generate


_pointer: Any = intrinsic(_to_memory)
bits: Any = intrinsic(_set_bits)
fetch: Any = intrinsic(_to_cache)
fetch_to_read: Any = intrinsic(_to_cache_to_read)
stream: Any = intrinsic(_past_caches)
settle: Any = intrinsic(_settled)
_array: Any = numba.carray  # type: ignore[attr-defined]


@inner
def _copy(address: int, stride: int, n: int, dtype: Any, out: Any) -> None:
    side_by_side = _array(_pointer(address), (n,), dtype)
    if stride == side_by_side.itemsize:
        for i in range(n):
            out[i] = side_by_side[i]
    else:
        for i in range(n):
            out[i] = _array(_pointer(address + i * stride), (1,), dtype)[0]


@inner
def _look_up(address: int, stride: int, n: int, table: Any, out: Any) -> None:
    for i in range(n):
        out[i] = table[_array(_pointer(address + i * stride), (1,), np.uint16)[0]]


@kernel
def read(column: Any, start: int, n: int, halves: Any, out: Any) -> None:
    """Writes n values of a column, from number `start` on, to `out`, in the dtype of `out`.

    column: (3,) int64 address, stride in bytes, kind. halves: (65536,) float32, what each float16 is worth: a look-up
    takes a third of the conversion's time, which not every machine has an instruction for.
    """
    address, stride, kind = column[0] + start * column[1], column[1], column[2]
    if kind == FLOAT32:
        _copy(address, stride, n, np.float32, out)
    elif kind == FLOAT64:
        _copy(address, stride, n, np.float64, out)
    elif kind == FLOAT16:
        _look_up(address, stride, n, halves, out)
    elif kind == UINT8:
        _copy(address, stride, n, np.uint8, out)
    elif kind == UINT16:
        _copy(address, stride, n, np.uint16, out)
    elif kind == INT32:
        _copy(address, stride, n, np.int32, out)
    elif kind == INT64:
        _copy(address, stride, n, np.int64, out)


@inner
def _pick(address: int, stride: int, numbers: Any, dtype: Any, out: Any) -> None:
    for k in range(len(numbers)):
        out[k] = _array(_pointer(address + np.int64(numbers[k]) * stride), (1,), dtype)[0]


@kernel
def read_chosen(column: Any, numbers: Any, halves: Any, out: Any) -> None:
    """Writes the values of a column that are numbered to `out`, in the dtype of `out`; the rest as in `read`."""
    address, stride, kind = column[0], column[1], column[2]
    if kind == FLOAT32:
        _pick(address, stride, numbers, np.float32, out)
    elif kind == FLOAT64:
        _pick(address, stride, numbers, np.float64, out)
    elif kind == FLOAT16:
        for k in range(len(numbers)):
            out[k] = halves[_array(_pointer(address + np.int64(numbers[k]) * stride), (1,), np.uint16)[0]]
    elif kind == UINT8:
        _pick(address, stride, numbers, np.uint8, out)
    elif kind == UINT16:
        _pick(address, stride, numbers, np.uint16, out)
    elif kind == INT32:
        _pick(address, stride, numbers, np.int32, out)
    elif kind == INT64:
        _pick(address, stride, numbers, np.int64, out)


@inner
def value(address: int, stride: int, i: int) -> Any:
    """Number i of a float32 column. It takes numbers, since numba counts the users of arrays atomically."""
    return _array(_pointer(address + i * stride), (1,), np.float32)[0]


@inner
def floats(address: int, start: int, n: int) -> Any:
    """The float32 numbers [start, start + n) of a column without gaps, as an array."""
    return _array(_pointer(address + 4 * start), (n,), np.float32)


@inner
def longs(address: int, n: int) -> Any:
    """n int64 numbers at an address, as an array."""
    return _array(_pointer(address), (n,), np.int64)


@inner
def doubles(address: int, n: int) -> Any:
    """n float64 numbers at an address, as an array."""
    return _array(_pointer(address), (n,), np.float64)
