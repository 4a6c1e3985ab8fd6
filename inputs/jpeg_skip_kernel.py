"""Passes over the Huffman codes of a JPEG picture's blocks without making coefficients of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .kernel import inner, kernel

__all__ = ["AT_ONCE", "FOUND", "skip_blocks", "spread"]

AT_ONCE = 11
"""Bits that are looked up at once; longer codes are rare, and found bit by bit."""
_ALL = 64
"""Coefficients of a block."""
FOUND = 3
"""Elements of `out` before the values of the components."""
# an entry of a table: bits of codes and of the values behind them, coefficients that they take, and those that the last
# of several codes begins after; of a DC table the bits of the code and the size of the value
_TAKEN, _BEFORE, _LOW = 8, 16, 255


@inner
def _taken(symbol: Any) -> Any:
    """Coefficients that a code takes: zeros and a value, or 16 zeros, or what is left of the block."""
    size, run = symbol & 15, symbol >> 4
    return run + 1 if size > 0 or run == 15 else _ALL


@kernel
def spread(counts: Any, symbols: Any, is_ac: bool, single: Any, quick: Any, limits: Any) -> None:
    """Writes what the next AT_ONCE bits do.

    counts: (16,) uint8 and symbols: (256,) uint8, as DHT has them. single, for the work, and quick: (1 << AT_ONCE,)
    int32, zeros; 0 stays where no code is known by so many bits. limits: (2, 17) int64, by the bits of a code one more
    than the last of so many, and how far the place of its symbol lies from the code.
    """
    code, known = 0, 0
    for bits in range(1, 17):
        limits[1, bits] = known - code
        for _ in range(counts[bits - 1]):
            if bits <= AT_ONCE and code < 1 << bits and known < 256:
                symbol = np.int64(symbols[known])
                entry = bits + (symbol & 15) | _taken(symbol) << _TAKEN if is_ac else bits | symbol << _TAKEN
                single[code << (AT_ONCE - bits) : (code + 1) << (AT_ONCE - bits)] = entry
            code += 1
            known += 1
        limits[0, bits] = code
        code <<= 1
    # several short codes at once, each with its value, as far as all their bits are known: 0.32 ms for 21 of the 57
    # rows of blocks of a 1600 x 900 picture, where one code at a time takes 0.66
    for i in range(1 << AT_ONCE):
        entry = single[i]
        bits, taken, before = entry & _LOW, entry >> _TAKEN, 0
        while is_ac and entry > 0 and bits < AT_ONCE and taken < _ALL:
            following = single[(i << bits) & ((1 << AT_ONCE) - 1)]
            if following == 0 or bits + (following & _LOW) > AT_ONCE:
                break
            before = taken
            bits += following & _LOW
            taken += following >> _TAKEN
        quick[i] = entry if before == 0 else bits | taken << _TAKEN | before << _BEFORE


@inner
def _by_bits(word: Any, held: Any, least: int, symbols: Any, limits: Any) -> Any:
    """The symbol of the code of at least so many bits that is next, and its bits << 8; -1 where there is none."""
    for bits in range(least, 17):
        code = (word >> (held - bits)) & ((1 << bits) - 1)
        if code < limits[0, bits]:
            known = code + limits[1, bits]
            return np.int64(symbols[known]) | bits << 8 if 0 <= known < 256 else -1
    return -1


@kernel
def skip_blocks(data: Any, at: Any, symbols: Any, quick: Any, limits: Any, layout: Any, units: int, out: Any) -> None:
    """Writes where the codes of the first `units` minimum coded units end, and the DC values there.

    As libjpeg reads them, damaged ones too (ITU-T T.81, F.2.2). data: (N,) uint8, the picture. at: where the data of
    its scan begin. symbols: (T, 256) uint8, quick: (T, 1 << AT_ONCE) int32 and limits: (T, 2, 17) int64, tables after
    `spread`, those of DC values first, then as many of others. layout: (B, 2) int64, of each block of a unit which
    component it is of, and which pair of tables has its codes. out: (3 + components,) int64, zeros: 1 if all were
    there; the byte with the first bit that is left, and how many of its bits are before it; the last DC value of each
    component, before quantization.
    """
    pairs, size_of_data = quick.shape[0] // 2, len(data)
    mask = (1 << AT_ONCE) - 1
    # bits that were read and not used: the lower `held` of `word`; of those, the last `made_up` lie beyond the data
    word: Any = 0
    held: Any = 0
    made_up: Any = 0
    for _ in range(units):
        for block in range(layout.shape[0]):
            component, table = layout[block, 0], layout[block, 1]
            taken: Any = 0
            while taken < _ALL:
                if held < 32 and at + 4 <= size_of_data:
                    # four bytes at once where none of them may be of a marker
                    first, second, third, fourth = data[at], data[at + 1], data[at + 2], data[at + 3]
                    if (first != 255) & (second != 255) & (third != 255) & (fourth != 255):
                        four = np.int64(first) << 24 | np.int64(second) << 16 | np.int64(third) << 8 | np.int64(fourth)
                        word, held, at = word << 32 | four, held + 32, at + 4
                while held < 32:
                    byte: Any = np.int64(data[at]) if at < size_of_data else 255
                    if byte != 255:
                        at += 1
                    elif at + 1 < size_of_data and data[at + 1] == 0:
                        at += 2
                    else:
                        byte, made_up = 0, made_up + 8
                    word, held = word << 8 | byte, held + 8
                if taken > 0:
                    entry = np.int64(quick[pairs + table, (word >> (held - AT_ONCE)) & mask])
                    if entry > 0 and taken + (entry >> _BEFORE) < _ALL:
                        held -= entry & _LOW
                        taken += (entry >> _TAKEN) & _LOW
                        continue
                    # a longer one; or the last of several would be of the next block, and they go one at a time
                    least = 1 if entry > 0 else AT_ONCE + 1
                    found = _by_bits(word, held, least, symbols[pairs + table], limits[pairs + table])
                    if found < 0:
                        return
                    held -= (found >> 8) + (found & 15)
                    taken += _taken(found & 255)
                    continue
                entry = np.int64(quick[table, (word >> (held - AT_ONCE)) & mask])
                bits, size = entry & _LOW, entry >> _TAKEN
                if entry == 0:
                    found = _by_bits(word, held, AT_ONCE + 1, symbols[table], limits[table])
                    if found < 0:
                        return
                    bits, size = found >> 8, found & 255
                if size > 15:
                    return
                held -= bits + size
                value = (word >> held) & ((1 << size) - 1)
                # the upper half of the values of a size is positive
                if size > 0:
                    out[FOUND + component] += value if value >> (size - 1) else value - (1 << size) + 1
                taken = 1
        if held < made_up:
            return
    for _ in range((held - made_up + 7) // 8):
        # a 0 that follows 255 is not of the data
        at -= 2 if data[at - 1] == 0 and data[at - 2] == 255 else 1
    out[0], out[1], out[2] = 1, at, (made_up - held) % 8
