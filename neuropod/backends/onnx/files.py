"""Which files an ONNX model keeps its weights in, read from its protobuf bytes; nothing is loaded for it.

The few fields are those of onnx.proto: a model holds a graph and functions; these hold nodes and tensors; a node's
attributes hold tensors and graphs again; a tensor's external_data is a list of keys and values, one of them "location".
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from ...errors import NeuropodError

__all__ = ["external_files"]

# kind of message -> field number -> kind of the message in it
_FIELDS = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_MOST_DEPTH = 100
# a number's bytes; the marks around a group have none, and what is between them is looked at like everything else
_SKIPPED_BYTES = {1: 8, 3: 0, 4: 0, 5: 4}


def external_files(model: bytes) -> list[str]:
    """Returns their names, sorted: paths inside the model's folder. Raises NeuropodError for one that leads out of it.

    Bytes that are not a model give what was found before they broke: loading them will say so better.
    """
    names = sorted(set(_locations(memoryview(model), "model", 0)))
    for name in names:
        path = PurePosixPath(name)
        if not name or path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
            raise NeuropodError(f"the model keeps weights in '{name}', which leads out of its folder; do not use it")
    return names


def _locations(data: memoryview, kind: str, depth: int) -> Iterator[str]:
    if depth > _MOST_DEPTH:
        raise NeuropodError(f"the model's graphs are nested more than {_MOST_DEPTH} deep; do not use it")
    for field, value in _fields(data):
        inner = _FIELDS[kind].get(field)
        if inner == "entry":
            entry = {number: bytes(text) for number, text in _fields(value)}
            if entry.get(1) == b"location":
                yield entry.get(2, b"").decode("utf-8", "replace")
        elif inner is not None:
            yield from _locations(value, inner, depth + 1)


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yields the number and the bytes of each field that has a length."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        key &= 0xFFFFFFFF  # protobuf drops the rest, which could hide a field from us
        wire = key & 7
        if wire == 2:
            size, at = _varint(data, at)
            yield key >> 3, data[at : at + size]
            at += size
        elif wire == 0:
            at = _varint(data, at)[1]
        elif wire in _SKIPPED_BYTES:
            at += _SKIPPED_BYTES[wire]
        else:
            return


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80 or shift > 63:
            break
    return value, at
