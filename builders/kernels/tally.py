"""What is known of one column of cells, in 32 bytes: two numbers for the processor's wide registers.

First the sums of heights and of strengths, float64, so that float32 does not drift. Then, float32, the greatest height,
the greatest of heights turned over, for the least of them by the same instruction, and the greatest strength. Last the
count, int32. All of these are at addresses, as in `record`.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba.extending import intrinsic

__all__ = ["MAX_Z", "NBYTES", "PLANE", "SIDE", "empty", "planes", "tally"]

NBYTES = 32
SIDE = 16
"""How many tallies are kept side by side: as many as there are float32 numbers in a cache line."""
PLANE = 256
"""How many tallies are worked on together, as planes: so many stay in the first-level cache."""
MAX_Z = 16
"""Bytes before the greatest height."""

_FLOAT, _DOUBLE, _INT, _LONG = ir.FloatType(), ir.DoubleType(), ir.IntType(32), ir.IntType(64)
_SUMS, _EXTREMES, _WORDS = (ir.VectorType(kind, n) for kind, n in ((_DOUBLE, 2), (_FLOAT, 4), (_INT, 4)))


def _to_tally(_: Any, address: Any, height: Any, strength: Any) -> Any:
    """Adds a point, which must not be NaN, to the tally at an address that is a multiple of 16.

    Of equal extremes the first stays, with the sign of its zero.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at, z, i = arguments

        def pack(kind: Any, numbers: Any) -> Any:
            packed = ir.Constant(kind, ir.Undefined)
            for lane, number in enumerate(numbers):
                packed = builder.insert_element(packed, number, _INT(lane))
            return packed

        sums = builder.inttoptr(at, _SUMS.as_pointer())
        more = pack(_SUMS, [builder.fpext(z, _DOUBLE), builder.fpext(i, _DOUBLE)])
        builder.store(builder.fadd(builder.load(sums, align=16), more), sums, align=16)
        rest = builder.inttoptr(builder.add(at, _LONG(16)), _EXTREMES.as_pointer())
        # NaN is not greater than what is there: the count stays, and gets its one as a whole number
        own = pack(_EXTREMES, [z, builder.fneg(z), i, ir.Constant(_FLOAT, float("nan"))])
        before = builder.load(rest, align=16)
        greatest = builder.select(builder.fcmp_ordered(">", own, before), own, before)
        counted = builder.add(builder.bitcast(greatest, _WORDS), ir.Constant(_WORDS, [0, 0, 0, 1]))
        builder.store(builder.bitcast(counted, _EXTREMES), rest, align=16)
        return context.get_dummy_value()

    return numba.types.void(numba.types.int64, numba.types.float32, numba.types.float32), generate


def _to_empty(_: Any, address: Any) -> Any:
    """Makes a tally of no points at an address that is a multiple of 16."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # -0: adding a number to it gives that number, to the last bit
        sums = ir.Constant(_SUMS, [-0.0, -0.0])
        builder.store(sums, builder.inttoptr(arguments[0], _SUMS.as_pointer()), align=16)
        none = ir.Constant(_FLOAT, float("-inf"))
        rest = ir.Constant(_EXTREMES, [none, none, none, ir.Constant(_FLOAT, 0.0)])
        at = builder.add(arguments[0], _LONG(16))
        builder.store(rest, builder.inttoptr(at, _EXTREMES.as_pointer()), align=16)
        return context.get_dummy_value()

    return numba.types.void(numba.types.int64), generate


def _to_planes(_: Any, address: Any, sums: Any, rest: Any) -> Any:
    """Writes SIDE adjacent tallies as planes: all their sums of heights side by side, and so on.

    address: of the tallies. sums: where the two planes of float64 begin for these, PLANE numbers apart; rest: the same
    for the four of float32 and int32.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at, sums_at, rest_at = arguments

        def load(offset: int, kind: Any) -> Any:
            return builder.load(builder.inttoptr(builder.add(at, _LONG(offset)), kind.as_pointer()), align=16)

        def store(vector: Any, base: Any, offset: int) -> None:
            place = builder.inttoptr(builder.add(base, _LONG(offset)), vector.type.as_pointer())
            builder.store(vector, place, align=4)

        def pick(a: Any, b: Any, *lanes: int) -> Any:
            return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_INT, len(lanes)), lanes))

        # eight float32 or four float64 are written at once: what reads them is as wide, or it would have to wait
        for k in range(0, SIDE, 4):
            own = [load(NBYTES * (k + j), _SUMS) for j in range(4)]
            for lane in range(2):
                two = [pick(own[j], own[j + 1], lane, 2 + lane) for j in (0, 2)]
                store(pick(*two, 0, 1, 2, 3), sums_at, 8 * (PLANE * lane + k))
        for k in range(0, SIDE, 8):
            halves = []
            for half in (k, k + 4):
                a, b, c, d = (load(NBYTES * (half + j) + 16, _EXTREMES) for j in range(4))
                first_lanes = pick(a, b, 0, 4, 1, 5), pick(c, d, 0, 4, 1, 5)
                last_lanes = pick(a, b, 2, 6, 3, 7), pick(c, d, 2, 6, 3, 7)
                pairs = (first_lanes, last_lanes)
                halves.append([pick(*pair, *lanes) for pair in pairs for lanes in ((0, 1, 4, 5), (2, 3, 6, 7))])
            for lane in range(4):
                store(pick(halves[0][lane], halves[1][lane], *range(8)), rest_at, 4 * (PLANE * lane + k))
        return context.get_dummy_value()

    return numba.types.void(numba.types.int64, numba.types.int64, numba.types.int64), generate


empty: Any = intrinsic(_to_empty)
planes: Any = intrinsic(_to_planes)
tally: Any = intrinsic(_to_tally)
