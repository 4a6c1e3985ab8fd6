"""The fields of a protobuf message from its bytes, without its generated code: numbers, and bytes as they lie."""

from __future__ import annotations

import struct
from collections.abc import Iterator

__all__ = ["doubles", "fields_of"]

_FIXED = {1: struct.Struct("<Q"), 5: struct.Struct("<I")}


def fields_of(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yields the number and the value of each field in the order of the bytes; raises ValueError where they end early.

    A varint or a fixed number is an int, unsigned; text, bytes, messages and packed lists are bytes.
    """
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
        elif wire in _FIXED:
            form = _FIXED[wire]
            if at + form.size > len(data):
                raise ValueError(f"field {number} is cut short")
            yield number, form.unpack_from(data, at)[0]
            at += form.size
        elif wire == 2:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise ValueError(f"field {number} says {length} bytes, {len(data) - at} are left")
            yield number, data[at : at + length]
            at += length
        else:
            raise ValueError(f"field {number} is of wire type {wire}")


def doubles(values: list[int | bytes]) -> tuple[float, ...]:
    """Returns the numbers of a repeated double, one by one or packed."""
    packed = b"".join(value if isinstance(value, bytes) else _FIXED[1].pack(value) for value in values)
    if len(packed) % 8:
        raise ValueError(f"a list of doubles has {len(packed)} bytes")
    return struct.unpack(f"<{len(packed) // 8}d", packed)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        value |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 0x80:
            return value, at
    raise ValueError("a number is cut short")
