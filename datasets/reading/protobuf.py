"""The fields of a protobuf message from its bytes, without its generated code: numbers, and bytes as they lie."""

from __future__ import annotations

import struct
from collections.abc import Iterator

__all__ = ["bytes_of", "double_of", "doubles", "fields_of", "float_of", "signed", "whole_numbers"]

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
    packed = b"".join(value if isinstance(value, bytes) else _eight_bytes(value) for value in values)
    if len(packed) % 8:
        raise ValueError(f"a list of doubles has {len(packed)} bytes")
    return struct.unpack(f"<{len(packed) // 8}d", packed)


def double_of(value: int | bytes) -> float:
    """Returns a fixed number of 8 bytes as the double that it is; raises ValueError for anything else."""
    if isinstance(value, bytes):
        raise ValueError("found bytes, wanted a double")
    number: float = struct.unpack("<d", _eight_bytes(value))[0]
    return number


def _eight_bytes(value: int) -> bytes:
    if value >= 2**64:
        raise ValueError("found a number of more than 64 bits, wanted a double")
    return _FIXED[1].pack(value)


def whole_numbers(values: list[int | bytes]) -> list[int]:
    """Returns the numbers of a repeated int32 or int64, one by one or packed; raises ValueError."""
    found: list[int] = []
    for value in values:
        if isinstance(value, int):
            found.append(signed(value))
            continue
        at = 0
        while at < len(value):
            number, at = _varint(value, at)
            found.append(signed(number))
    return found


def signed(value: int | bytes) -> int:
    """Returns a varint as int32 and int64 mean it; raises ValueError for bytes."""
    if isinstance(value, bytes):
        raise ValueError("found bytes, wanted a number")
    value &= 2**64 - 1
    return value - 2**64 if value >= 2**63 else value


def float_of(value: int | bytes) -> float:
    """Returns a fixed number of 4 bytes as the float that it is; raises ValueError for bytes or a larger number."""
    if isinstance(value, bytes) or value >= 2**32:
        raise ValueError("found something else, wanted a float")
    number: float = struct.unpack("<f", _FIXED[5].pack(value))[0]
    return number


def bytes_of(value: int | bytes) -> bytes:
    """Returns the bytes of a message or text; raises ValueError for a number."""
    if isinstance(value, int):
        raise ValueError("found a number, wanted bytes")
    return value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        value |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 0x80:
            return value, at
    raise ValueError("a number is cut short")
