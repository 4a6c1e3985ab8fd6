"""A JPEG picture without its upper rows, for a decoder that has no way to leave them out.

Huffman codes can only be read one after the other, but of those above the rows that are wanted no pixels need to be
made, which is half of the work. Here they are passed over, and in their place comes one row of flat blocks, which ends
with the DC values, and at the bit of a byte, that the rest goes on from. What follows is as it was, to the last bit,
and so are its pixels. Rows 350 to 899 of a 1600 x 900 picture of nuScenes take 0.84 to 0.87 of the time of all, at half
the size 0.92.

A picture that is damaged, above or below, is refused as it is as a whole, with one exception: damage that shows only by
a few bytes that are left over at the end. libjpeg does not see those that it has read ahead, which may be others in a
part. Of 26 000 pictures damaged in a byte or two, 11 101 were taken as a whole, since nothing showed the damage, and 37
more in part.

Rows below are decoded. To leave them out would save more yet, but what is left over of the data would then be neither
looked at nor told from what damage leaves over: half of a picture would pass for a whole one.

libjpeg-turbo can skip rows itself (jpeg_skip_scanlines: 0.80 of the time), but no package that is kept up and installs
everywhere brings it to Python: simplejpeg, Pillow, OpenCV, imagecodecs and kornia-rs decode whole pictures; PyTurboJPEG
crops without decoding, and wants a library of the system; TensorFlow takes longer for all of it than simplejpeg.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .jpeg import length_at, markers_of

__all__ = ["LowerRows", "without_upper_rows"]

_SEQUENTIAL = (0xC0, 0xC1)
_TABLES, _SCAN, _RESTARTS = 0xC4, 0xDA, 0xDD
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WHOLE_SCAN = b"\x00\x3f\x00"
"""From the first to the last coefficient, all bits of them."""
_LEAST_UNITS = 8
"""Rows of units that are left out at least: of fewer the pixels are made in the time that this takes."""
_SHARED_ROWS = 2
"""Rows of chroma at most that a row of pixels is made of, counted upwards: its own, and one above."""
_MOST_BLOCKS = 10
"""In a unit (ITU-T T.81, B.2.3)."""
_FLAT = 0x00
"""The symbol of a DC value that is as the last one, and of the end of a block."""

_KEPT = 64
"""Tables: a camera has the same in picture after picture."""

Codes = dict[int, str]
"""Symbol -> the bits of its code."""


@dataclass(frozen=True)
class _Component:
    blocks: int
    """In a unit."""
    dc: int
    """Which table of DC values."""
    ac: int


@dataclass(frozen=True)
class _Header:
    frame: int
    """Where the segment of the frame begins."""
    data_from: int
    height: int
    unit_height: int
    units_across: int
    components: tuple[_Component, ...]
    tables: dict[int, bytes]
    """Class << 4 | number -> how many codes there are of 1 to 16 bits, then their symbols."""


class LowerRows(NamedTuple):
    encoded: bytes
    missing: int
    """How many rows it has fewer than the picture that it is of."""


def without_upper_rows(encoded: bytes, first: int, reduce: int = 1) -> LowerRows | None:
    """Returns a picture whose pixels from row `first` down are those of `encoded`.

    None where that cannot be: progressive pictures, those with restarts or several scans, unusual tables, damage; and
    where it would not save time. first: a row of the whole picture, px. reduce: at what fraction of its size it is
    going to be decoded. The rows that are missing are a multiple of it.
    """
    header = _header(encoded)
    if header is None:
        return None
    # chroma of fewer rows is spread to those beside it, which must be there
    shared = _SHARED_ROWS * reduce * header.unit_height // 8
    left_out = (first - shared) // header.unit_height - 1
    if left_out < _LEAST_UNITS:
        return None
    # one row of units takes the place of those that are passed over
    found = _passed(encoded, header, (left_out + 1) * header.units_across)
    if found is None:
        return None
    at, bits_before, values = found
    flat = _flat_units(header, values, bits_before)
    if flat is None:
        return None
    # the byte in which the rest begins has its lower bits
    byte = format(encoded[at], "08b")[bits_before:]
    begin = flat + byte if bits_before else flat
    data = int(begin, 2).to_bytes(len(begin) // 8, "big").replace(b"\xff", b"\xff\x00")
    rest = at if not bits_before else at + 2 if encoded[at] == 0xFF else at + 1
    size_at = header.frame + 3
    height = struct.pack(">H", header.height - left_out * header.unit_height)
    head = encoded[:size_at] + height + encoded[size_at + 2 : header.data_from]
    return LowerRows(b"".join((head, data, memoryview(encoded)[rest:])), left_out * header.unit_height)


def _header(encoded: bytes) -> _Header | None:
    """What is needed of the header of a sequential picture in one scan; None where it is another, or damaged."""
    frame, tables = 0, dict[int, bytes]()
    try:
        for marker in markers_of(encoded):
            if marker.code in _FRAMES:
                if marker.code not in _SEQUENTIAL or frame:
                    return None
                frame = marker.segment
            elif marker.code == _TABLES:
                tables.update(
                    _tables_in(encoded[marker.segment + 2 : marker.segment + length_at(encoded, marker.segment)])
                )
            elif marker.code == _RESTARTS and encoded[marker.segment + 2 : marker.segment + 4] != b"\0\0":
                return None
            elif marker.code == _SCAN:
                return _header_of(encoded, frame, marker.segment, tables) if frame else None
    except (struct.error, IndexError, KeyError, ZeroDivisionError):
        return None
    return None


def _tables_in(segment: bytes) -> Iterator[tuple[int, bytes]]:
    while segment:
        end = 17 + sum(segment[1:17])
        if end > len(segment) or end > 17 + 256:
            raise IndexError("a table is cut short")
        yield segment[0], segment[1:end]
        segment = segment[end:]


def _header_of(encoded: bytes, frame: int, scan: int, tables: dict[int, bytes]) -> _Header | None:
    precision, height, width, count = struct.unpack_from(">BHHB", encoded, frame + 2)
    sampling = {encoded[at]: encoded[at + 1] for at in range(frame + 8, frame + 8 + 3 * count, 3)}
    end = scan + length_at(encoded, scan)
    chosen = encoded[scan + 3 : scan + 3 + 2 * count]
    if (
        precision != 8
        or encoded[scan + 2] != count
        or encoded[end - 3 : end] != _WHOLE_SCAN
        or end != scan + 6 + 2 * count
    ):
        return None
    factors = [sampling[name] for name in chosen[::2]]
    # a single component is cut into blocks of 8, whatever its factors say
    across, down = (1, 1) if count == 1 else (max(f >> 4 for f in factors), max(f & 15 for f in factors))
    blocks = [1] if count == 1 else [(f >> 4) * (f & 15) for f in factors]
    components = tuple(
        _Component(n, table >> 4, 0x10 | (table & 15)) for n, table in zip(blocks, chosen[1::2], strict=True)
    )
    if not 0 < sum(blocks) <= _MOST_BLOCKS or len(sampling) != count or 0 in blocks:
        return None
    if any(c.dc not in tables or c.ac not in tables for c in components):
        return None
    return _Header(frame, end, height, 8 * down, -(-width // (8 * across)), components, tables)


def _passed(encoded: bytes, header: _Header, units: int) -> tuple[int, int, list[int]] | None:
    """Where the codes of so many units end: the byte, how many of its bits are before; and the DC values there."""
    from .jpeg_skip_kernel import FOUND, skip_blocks

    pairs = sorted({(c.dc, c.ac) for c in header.components})
    of_blocks = [(i, pairs.index((c.dc, c.ac))) for i, c in enumerate(header.components) for _ in range(c.blocks)]
    tables = [dc for dc, _ in pairs] + [ac for _, ac in pairs]
    out = np.zeros(FOUND + len(header.components), np.int64)
    skip_blocks(
        np.frombuffer(encoded, np.uint8),
        header.data_from,
        *_spread(tuple(header.tables[name] for name in tables)),
        np.array(of_blocks, np.int64),
        units,
        out,
    )
    return (int(out[1]), int(out[2]), out[FOUND:].tolist()) if out[0] else None


@lru_cache(_KEPT)
def _spread(tables: tuple[bytes, ...]) -> tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.int64]]:
    """symbols, quick and limits of the kernel; the second half of the tables are not of DC values."""
    from .jpeg_skip_kernel import AT_ONCE, spread

    symbols = np.zeros((len(tables), 256), np.uint8)
    quick = np.zeros((len(tables), 1 << AT_ONCE), np.int32)
    limits = np.zeros((len(tables), 2, 17), np.int64)
    for i, table in enumerate(tables):
        held = np.frombuffer(table, np.uint8)
        symbols[i, : len(held) - 16] = held[16:]
        spread(held[:16], symbols[i], 2 * i >= len(tables), np.zeros_like(quick[i]), quick[i], limits[i])
    return symbols, quick, limits


def _flat_units(header: _Header, values: list[int], bits_before: int) -> str | None:
    """The bits of a row of flat units: as many as end `bits_before` bits after a byte, and the last DC values `values`.

    None where the picture's tables do not have the codes for it.
    """
    codes = {name: _codes(header.tables[name]) for c in header.components for name in (c.dc, c.ac)}
    if any(_FLAT not in codes[name] for name in codes):
        return None
    left = []
    for value, component in zip(values, header.components, strict=True):
        steps = _steps(value, codes[component.dc], header.units_across * component.blocks)
        if steps is None:
            return None
        left.append(steps)
    units = list[str]()
    while any(left) or not units:
        blocks = list[str]()
        for component, todo in zip(header.components, left, strict=True):
            flat, end = codes[component.dc][_FLAT], codes[component.ac][_FLAT]
            blocks += [(todo.pop() if todo else flat) + end for _ in range(component.blocks)]
        units.append("".join(blocks))
    flat_unit = "".join((codes[c.dc][_FLAT] + codes[c.ac][_FLAT]) * c.blocks for c in header.components)
    row = "".join(units) + flat_unit * (header.units_across - len(units))
    missing = (bits_before - len(row)) % 8
    if missing == 0:
        return row
    # values in the last block fill up the byte: those of an odd number of bits make any number of them, modulo 8
    last = header.components[-1]
    end = codes[last.ac][_FLAT]
    with_value = (code + "0" * size for size, code in sorted(codes[last.ac].items()) if size > 0)
    odd = next((bits for bits in with_value if len(bits) % 2), None)
    if odd is None:
        return None
    filling = odd * int(missing * pow(len(odd), -1, 8) % 8)
    return row[: -len(end)] + filling + end


@lru_cache(_KEPT)
def _codes(table: bytes) -> Codes:
    """The codes of a table, as ITU-T T.81, annex C, numbers them, for the symbols below 16: those without a run."""
    codes, code, at = Codes(), 0, 16
    for bits, count in enumerate(table[:16], 1):
        for i, symbol in enumerate(table[at : at + count]):
            if symbol < 16:
                codes[symbol] = format(code + i, f"0{bits}b")
        code, at = (code + count) << 1, at + count
    return codes


def _steps(value: int, codes: Codes, most: int) -> list[str] | None:
    """The bits of `most` differences at most that make up a DC value, in any order; None where there are no codes for
    that."""
    sizes, steps = sorted(size for size in codes if 0 < size < 16), list[str]()
    while value:
        size = next((s for s in reversed(sizes) if s <= abs(value).bit_length()), None)
        if size is None or len(steps) == most:
            return None
        step = min(abs(value), (1 << size) - 1)
        # those below 0 are the lower half
        bits = step if value > 0 else (1 << size) - 1 - step
        steps.append(codes[size] + format(bits, f"0{size}b"))
        value -= step if value > 0 else -step
    return steps
