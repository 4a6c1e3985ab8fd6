"""What is done to many bytes of a picture at once. Addresses are whole numbers, as in `record`.

Written as operations on vectors, which the compiler turns into what the processor has: left alone, it does one byte
after the other where colours alternate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from . import BLOCK

__all__ = [
    "between_block",
    "between_two",
    "nearest_block",
    "part",
    "quads",
    "show_across",
    "show_planes",
    "show_swapped",
    "stream_planes",
    "two_rows",
    "two_taps",
    "weigh",
]
__all__ += ["weigh_across", "weigh_across_back"]

_cgutils: Any = cgutils
_BYTE, _SHORT, _WORD, _LONG = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_FLOAT = ir.FloatType()
_LANES = 16
_DIGIT = 11
"""Weights of 22 bits are two of 11: processors multiply 16 bits far faster than 32."""


def _load(builder: Any, kind: Any, n: int, address: Any, offset: int = 0) -> Any:
    place = builder.add(address, _LONG(offset)) if offset else address
    if n == 1:
        return builder.load(builder.inttoptr(place, kind.as_pointer()), align=1)
    return builder.load(builder.inttoptr(place, ir.VectorType(kind, n).as_pointer()), align=1)


def _store(builder: Any, vector: Any, address: Any, offset: Any = 0) -> None:
    place = builder.add(address, _LONG(offset) if isinstance(offset, int) else offset)
    builder.store(vector, builder.inttoptr(place, vector.type.as_pointer()), align=1)


def _pick(builder: Any, a: Any, lanes: Sequence[int], b: Any = None) -> Any:
    """The lanes of a, and of b after them."""
    other = ir.Constant(a.type, ir.Undefined) if b is None else b
    return builder.shuffle_vector(a, other, ir.Constant(ir.VectorType(_WORD, len(lanes)), list(lanes)))


def _join(builder: Any, vectors: Sequence[Any]) -> Any:
    """Vectors one after the other; as many as a power of two."""
    found = list(vectors)
    while len(found) > 1:
        both = range(2 * found[0].type.count)
        found = [_pick(builder, found[i], list(both), found[i + 1]) for i in range(0, len(found), 2)]
    return found[0]


def _all(builder: Any, number: Any, n: int) -> Any:
    one = builder.insert_element(ir.Constant(ir.VectorType(number.type, n), ir.Undefined), number, _WORD(0))
    return _pick(builder, one, [0] * n)


def _same(kind: Any, n: int, value: float) -> Any:
    return ir.Constant(ir.VectorType(kind, n), [value] * n)


def _pairs(builder: Any, a: Any, b: Any) -> Any:
    """Two vectors of shorts: products of each two neighbours, added, as words."""
    n = a.type.count
    wide = ir.VectorType(_WORD, n)
    products = builder.mul(builder.sext(a, wide), builder.sext(b, wide))
    return builder.add(_pick(builder, products, range(0, n, 2)), _pick(builder, products, range(1, n, 2)))


def _clip(builder: Any, words: Any) -> Any:
    """Words as bytes, what is beyond 0 and 255 as these."""
    n = words.type.count
    for limit, beyond in ((0, "<"), (255, ">")):
        most = _same(words.type.element, n, limit)
        words = builder.select(builder.icmp_signed(beyond, words, most), most, words)
    return builder.trunc(words, ir.VectorType(_BYTE, n))


def _floats(builder: Any, name: str, *vectors: Any) -> Any:
    """What LLVM has under this name for vectors of float32."""
    kind = vectors[0].type
    function = _cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(kind, [kind] * len(vectors)), f"llvm.{name}.v{kind.count}f32"
    )
    return builder.call(function, vectors)


def _sums(builder: Any, address: Any, step: Any, weights: Any, count: Any) -> list[Any]:
    """Three vectors of 16 bytes: each lane's sum of bytes times weights, rounded and clipped as Pillow does.

    address: of the first quads, 3 x 16 of 4 bytes; step: bytes to the next ones; weights: of 4 words per quad, the
    upper and the lower digits of weights 0 and 2 and of 1 and 3; count: how many quads.
    """
    vector = ir.VectorType(_WORD, _LANES)
    shorts = ir.VectorType(_SHORT, 2 * _LANES)
    sums = [_cgutils.alloca_once(builder, vector) for _ in range(6)]
    for one in sums:
        builder.store(_same(_WORD, _LANES, 0), one)
    with _cgutils.for_range(builder, count, intp=_LONG) as loop:
        here = builder.add(address, builder.mul(loop.index, step))
        digits = builder.add(weights, builder.mul(loop.index, _LONG(16)))
        spread = [
            builder.bitcast(_all(builder, _load(builder, _WORD, 1, digits, 4 * k), _LANES), shorts) for k in range(4)
        ]
        for k in range(3):
            quads = _load(builder, _WORD, _LANES, here, 64 * k)
            even = builder.and_(quads, _same(_WORD, _LANES, 0x00FF00FF))
            odd = builder.and_(builder.lshr(quads, _same(_WORD, _LANES, 8)), _same(_WORD, _LANES, 0x00FF00FF))
            even, odd = builder.bitcast(even, shorts), builder.bitcast(odd, shorts)
            for digit in range(2):
                place = sums[2 * k + digit]
                sum_ = builder.add(builder.load(place), _pairs(builder, even, spread[2 * digit]))
                builder.store(builder.add(sum_, _pairs(builder, odd, spread[2 * digit + 1])), place)
    found = []
    for k in range(3):
        upper = builder.shl(builder.load(sums[2 * k]), _same(_WORD, _LANES, _DIGIT))
        whole = builder.add(builder.add(upper, builder.load(sums[2 * k + 1])), _same(_WORD, _LANES, 1 << 21))
        found.append(_clip(builder, builder.ashr(whole, _same(_WORD, _LANES, 22))))
    return found


def _to_weigh(_: Any, address: Any, step: Any, weights: Any, count: Any, out: Any) -> Any:
    """Writes 48 bytes, each a sum of bytes times weights: see `_sums`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        for k, some in enumerate(_sums(builder, *arguments[:4])):
            _store(builder, some, arguments[4], 16 * k)
        return context.get_dummy_value()

    word = numba.types.int64
    return numba.types.void(word, word, word, word, word), generate


def _to_weigh_across(back: bool) -> Any:
    """Makes the same for one pixel of 16 rows, written as quads of rows: to four places, 3 quads, and one that is left
    over, which the next pixel overwrites: the one to the right, or the one to the left if it goes back.

    out_step: bytes from one place to the next.
    """

    def typed(_: Any, address: Any, step: Any, weights: Any, count: Any, out: Any, out_step: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            words = [builder.bitcast(some, ir.VectorType(_WORD, 4)) for some in _sums(builder, *arguments[:4])]
            together = _join(builder, [words[0], *words] if back else [*words, words[2]])
            first = builder.add(arguments[4], _LONG(-4 if back else 0))
            for k in range(4):
                some = _pick(builder, together, [k, 4 + k, 8 + k, 12 + k])
                _store(builder, some, first, builder.mul(_LONG(k), arguments[5]))
            return context.get_dummy_value()

        word = numba.types.int64
        return numba.types.void(word, word, word, word, word, word), generate

    return typed


def _to_quads(_: Any, row_0: Any, row_1: Any, row_2: Any, row_3: Any, out: Any) -> Any:
    """Four pixels of four rows as quads of one colour: 4 x 4 bytes of red, 64 bytes on of green, 64 on of blue.

    16 bytes are read of each row, of which 12 count.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        four = _join(builder, [_load(builder, _BYTE, 16, row) for row in arguments[:4]])
        lanes = [16 * row + 3 * k + colour for colour in (0, 1, 2, 2) for row in range(4) for k in range(4)]
        parted = _pick(builder, four, lanes)
        for colour in range(3):
            _store(builder, _pick(builder, parted, range(16 * colour, 16 * colour + 16)), arguments[4], 64 * colour)
        return context.get_dummy_value()

    word = numba.types.int64
    return numba.types.void(word, word, word, word, word), generate


def _to_two_taps(_: Any, row: Any, offsets: Any, weights: Any, out: Any) -> Any:
    """16 pixels, each the sum of two neighbours times weights, less 4 bits: 16 x (red, green, blue, any), shorts.

    offsets: of 16 words, bytes within the row, of which 8 are read; weights: of 2 x 4 x 32 shorts: for eight pixels,
    each four times, the upper digits of both weights, then the lower ones, of 5 bits. All is done in 16 bits: with
    products in 32 it took 0.37 ms for a picture where this takes 0.25.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        row, offsets, weights, out = arguments
        for half in range(2):
            pixels = ir.Constant(ir.VectorType(_LONG, 8), ir.Undefined)
            for k in range(8):
                offset = builder.sext(_load(builder, _WORD, 1, offsets, 4 * (8 * half + k)), _LONG)
                pixels = builder.insert_element(pixels, _load(builder, _LONG, 1, builder.add(row, offset)), _WORD(k))
            bytes_ = builder.bitcast(pixels, ir.VectorType(_BYTE, 64))
            neighbours = _pick(builder, bytes_, [8 * k + c for k in range(8) for c in (0, 3, 1, 4, 2, 5, 6, 7)])
            both = builder.bitcast(neighbours, ir.VectorType(_SHORT, 32))
            left, right = builder.and_(both, _same(_SHORT, 32, 255)), builder.lshr(both, _same(_SHORT, 32, 8))
            upper, lower = (
                builder.add(
                    builder.mul(left, _load(builder, _SHORT, 32, weights, 256 * half + 128 * digit)),
                    builder.mul(right, _load(builder, _SHORT, 32, weights, 256 * half + 128 * digit + 64)),
                )
                for digit in range(2)
            )
            # (32 upper + lower) >> 4
            less = builder.lshr(lower, _same(_SHORT, 32, 4))
            _store(builder, builder.add(builder.add(upper, upper), less), out, 64 * half)
        return context.get_dummy_value()

    word = numba.types.int64
    return numba.types.void(word, word, word, word), generate


def _to_two_rows(_: Any, upper: Any, lower: Any, weights: Any, out: Any) -> Any:
    """48 bytes of two rows of 16 x 4 shorts, as OpenCV adds them: each times its weight, less 16 bits, and rounded.

    weights: the upper row's and, in the upper 16 bits, the lower one's.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.VectorType(_WORD, 64)
        sums = _same(_SHORT, 64, 2)
        for row, shift in ((arguments[0], 0), (arguments[1], 16)):
            weight = builder.trunc(builder.lshr(arguments[2], _LONG(shift)), _SHORT)
            shorts = builder.sext(_load(builder, _SHORT, 64, row), wide)
            products = builder.mul(shorts, builder.sext(_all(builder, weight, 64), wide))
            upper = builder.trunc(builder.ashr(products, _same(_WORD, 64, 16)), ir.VectorType(_SHORT, 64))
            sums = builder.add(sums, upper)
        shown = _clip(builder, builder.ashr(sums, _same(_SHORT, 64, 2)))
        _store(builder, _pick(builder, shown, [4 * k + colour for k in range(16) for colour in range(3)]), arguments[3])
        return context.get_dummy_value()

    word = numba.types.int64
    return numba.types.void(word, word, word, word), generate


def _between(builder: Any, from_: Any, to: Any, share: Any) -> Any:
    """share of the way, in float32, rounded once where the processor has multiply and add as one, as OpenCV does it."""
    return _floats(builder, "fmuladd", builder.fsub(to, from_), share, from_)


def _to_between_two(kind: Any) -> Any:
    """Makes what writes one pixel between two neighbours of two rows, bytes or float32.

    Eight values are read of each row, of which six count, and four written, of which three do.
    """

    def typed(_: Any, upper: Any, lower: Any, share_x: Any, share_y: Any, out: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            upper, lower, share_x, share_y, out = arguments
            share_x, share_y = _all(builder, share_x, 4), _all(builder, share_y, 4)
            rows = []
            for row in (upper, lower):
                values = _load(builder, kind, 8, row)
                if kind is _BYTE:
                    values = builder.uitofp(builder.zext(values, ir.VectorType(_WORD, 8)), ir.VectorType(_FLOAT, 8))
                left, right = _pick(builder, values, [0, 1, 2, 2]), _pick(builder, values, [3, 4, 5, 5])
                rows.append(_between(builder, left, right, share_x))
            value = _between(builder, rows[0], rows[1], share_y)
            if kind is _BYTE:
                words = builder.fptosi(_floats(builder, "rint", value), ir.VectorType(_WORD, 4))
                value = builder.trunc(words, ir.VectorType(_BYTE, 4))
            _store(builder, value, out)
            return context.get_dummy_value()

        word, number = numba.types.int64, numba.types.float32
        return numba.types.void(word, word, number, number, word), generate

    return typed


def _to_between_block(
    _: Any, pixels: Any, stride: Any, x: Any, across_u: Any, row_u: Any, across_v: Any, row_v: Any, out: Any
) -> Any:
    """Writes 16 pixels of bytes in one go, each from between four, as `between_two` does one: from (x + k) across_u +
    row_u to the right and (x + k) across_v + row_v down, in float32, all of them within the picture.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pixels, stride, x, across_u, row_u, across_v, row_v, out = arguments
        words, longs = ir.VectorType(_WORD, _LANES), ir.VectorType(_LONG, _LANES)
        floats = ir.VectorType(_FLOAT, _LANES)
        numbers = ir.Constant(words, list(range(_LANES)))
        here = builder.sitofp(builder.add(_all(builder, builder.trunc(x, _WORD), _LANES), numbers), floats)
        shares, places = [], []
        for across, row in ((across_u, row_u), (across_v, row_v)):
            place = _floats(builder, "fmuladd", here, _all(builder, across, _LANES), _all(builder, row, _LANES))
            whole = builder.fptosi(place, words)
            shares.append(builder.fsub(place, builder.sitofp(whole, floats)))
            places.append(builder.sext(whole, longs))
        upper = builder.add(
            builder.mul(places[1], _all(builder, stride, _LANES)), builder.mul(places[0], _same(_LONG, _LANES, 3))
        )
        rows = []
        for first in (pixels, builder.add(pixels, stride)):
            eight = ir.Constant(longs, ir.Undefined)
            for k in range(_LANES):
                address = builder.add(first, builder.extract_element(upper, _WORD(k)))
                eight = builder.insert_element(eight, _load(builder, _LONG, 1, address), _WORD(k))
            rows.append(builder.bitcast(eight, ir.VectorType(_BYTE, 8 * _LANES)))
        shown = []
        for colour in range(3):
            left, right = (
                [
                    builder.uitofp(_pick(builder, row, [8 * k + colour + 3 * next_ for k in range(_LANES)]), floats)
                    for row in rows
                ]
                for next_ in range(2)
            )
            above, below = (_between(builder, left[k], right[k], shares[0]) for k in range(2))
            value = _floats(builder, "rint", _between(builder, above, below, shares[1]))
            shown.append(builder.trunc(builder.fptosi(value, words), ir.VectorType(_BYTE, _LANES)))
        together = _join(builder, [*shown, shown[2]])
        _store(builder, _pick(builder, together, [_LANES * c + k for k in range(_LANES) for c in range(3)]), out)
        return context.get_dummy_value()

    word, number = numba.types.int64, numba.types.float32
    return numba.types.void(word, word, word, number, number, number, number, word), generate


def _to_nearest_block(_: Any, pixels: Any, stride: Any, u: Any, v: Any, across_u: Any, across_v: Any, out: Any) -> Any:
    """Writes 16 pixels of bytes: those at u + k across_u to the right and v + k across_v down, in 16 bits after the
    point, all of them within the picture. Four bytes are read of each, of which three count.

    Gathered at once, 43 us for a picture of 256 x 704; loaded one by one, 95.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pixels, stride, u, v, across_u, across_v, out = arguments
        words, longs = ir.VectorType(_WORD, _LANES), ir.VectorType(_LONG, _LANES)
        numbers = ir.Constant(words, list(range(_LANES)))
        # counted from the first one's pixel, so that they fit into words
        steps = []
        for place, across in ((u, across_u), (v, across_v)):
            share = builder.trunc(builder.and_(place, _LONG(0xFFFF)), _WORD)
            step = builder.mul(numbers, _all(builder, builder.trunc(across, _WORD), _LANES))
            sum_ = builder.add(_all(builder, share, _LANES), step)
            steps.append(builder.ashr(sum_, _same(_WORD, _LANES, 16)))
        right = builder.mul(steps[0], _same(_WORD, _LANES, 3))
        offsets = builder.add(builder.mul(steps[1], _all(builder, builder.trunc(stride, _WORD), _LANES)), right)
        row = builder.mul(builder.ashr(v, _LONG(16)), stride)
        first = builder.add(pixels, builder.add(row, builder.mul(builder.ashr(u, _LONG(16)), _LONG(3))))
        places = builder.add(builder.sext(offsets, longs), _all(builder, first, _LANES))
        pointers, flags = ir.VectorType(_WORD.as_pointer(), _LANES), ir.VectorType(ir.IntType(1), _LANES)
        gather = _cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(words, [pointers, _WORD, flags, words]),
            f"llvm.masked.gather.v{_LANES}i32.v{_LANES}p0i32",
        )
        every, nothing = _same(ir.IntType(1), _LANES, 1), ir.Constant(words, ir.Undefined)
        found = builder.call(gather, [builder.inttoptr(places, pointers), _WORD(1), every, nothing])
        bytes_ = builder.bitcast(found, ir.VectorType(_BYTE, 4 * _LANES))
        _store(builder, _pick(builder, bytes_, [4 * k + c for k in range(_LANES) for c in range(3)]), out)
        return context.get_dummy_value()

    word = numba.types.int64
    return numba.types.void(word, word, word, word, word, word, word), generate


def _to_copy_pixel(kind: Any) -> Any:
    """Makes what copies one pixel."""

    def typed(_: Any, source: Any, to: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _store(builder, _load(builder, kind, 3, arguments[0]), arguments[1])
            return context.get_dummy_value()

        return numba.types.void(numba.types.int64, numba.types.int64), generate

    return typed


def _to_black_pixel(_: Any, to: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _store(builder, _same(_BYTE, 3, 0), arguments[0])
        return context.get_dummy_value()

    return numba.types.void(numba.types.int64), generate


_PLANES = [range(colour, BLOCK, 3) for colour in range(3)]
_ACROSS = [range(begin, begin + _LANES) for begin in range(0, BLOCK, _LANES)]
_SWAPPED = [[3 * (k // 3) + 2 - k % 3 for k in some] for some in _ACROSS]


def _to_show(order: Sequence[Sequence[int]], streamed: bool = False) -> Any:
    """Makes what writes 16 pixels as float32, scaled: the bytes that `order` says to three places, 16 each.

    streamed: the places are multiples of 64, and are written past the caches, without reading what was there.

    steps: of (3, 5, 16) float32, per place a and more of a, the mean, b and more of b: x a less the mean, times b. What
    a number is more than float32 can say stands beside it: multiplied with both, the result is rounded as that of the
    number itself, or of the division by its inverse, which would take much longer.
    """

    def typed(_: Any, source: Any, steps: Any, first: Any, second: Any, third: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            source, steps, *places = arguments
            bytes_ = _load(builder, _BYTE, BLOCK, source)

            def times(value: Any, number: Any, more: Any) -> Any:
                return _floats(builder, "fmuladd", value, number, builder.fmul(value, more))

            for k, place in enumerate(places):
                a, a_more, mean, b, b_more = (
                    _load(builder, _FLOAT, _LANES, steps, 64 * (5 * k + step)) for step in range(5)
                )
                value = builder.uitofp(_pick(builder, bytes_, order[k]), ir.VectorType(_FLOAT, _LANES))
                value = times(builder.fsub(times(value, a, a_more), mean), b, b_more)
                if streamed:
                    to = builder.inttoptr(place, value.type.as_pointer())
                    never_again = builder.module.add_metadata([_WORD(1)])
                    builder.store(value, to, align=64).set_metadata("nontemporal", never_again)
                else:
                    _store(builder, value, place)
            return context.get_dummy_value()

        word = numba.types.int64
        return numba.types.void(word, word, word, word, word), generate

    return typed


def _to_part(_: Any, source: Any, first: Any, second: Any, third: Any) -> Any:
    """Writes the reds, the greens and the blues of 16 pixels to three places."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, *places = arguments
        bytes_ = _load(builder, _BYTE, BLOCK, source)
        for order, place in zip(_PLANES, places, strict=True):
            _store(builder, _pick(builder, bytes_, order), place)
        return context.get_dummy_value()

    word = numba.types.int64
    return numba.types.void(word, word, word, word), generate


between_block: Any = intrinsic(_to_between_block)
between_two: Any = intrinsic(_to_between_two(_BYTE))
between_two_floats: Any = intrinsic(_to_between_two(_FLOAT))
black_pixel: Any = intrinsic(_to_black_pixel)
copy_pixel: Any = intrinsic(_to_copy_pixel(_BYTE))
copy_pixel_floats: Any = intrinsic(_to_copy_pixel(_FLOAT))
nearest_block: Any = intrinsic(_to_nearest_block)
quads: Any = intrinsic(_to_quads)
part: Any = intrinsic(_to_part)
show_across: Any = intrinsic(_to_show(_ACROSS))
show_planes: Any = intrinsic(_to_show(_PLANES))
show_swapped: Any = intrinsic(_to_show(_SWAPPED))
stream_planes: Any = intrinsic(_to_show(_PLANES, streamed=True))
two_rows: Any = intrinsic(_to_two_rows)
two_taps: Any = intrinsic(_to_two_taps)
weigh: Any = intrinsic(_to_weigh)
weigh_across: Any = intrinsic(_to_weigh_across(back=False))
weigh_across_back: Any = intrinsic(_to_weigh_across(back=True))
