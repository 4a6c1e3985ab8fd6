"""The few pickle opcodes of TorchScript's data.pkl: plain values, tensors by storage, and objects of named classes."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import NeuropodError

__all__ = ["Object", "Tensor", "dump"]


@dataclass(frozen=True)
class Tensor:
    """A tensor: a piece of a storage, which is a file of the archive."""

    storage: str
    key: str
    items: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    requires_grad: bool


@dataclass(frozen=True)
class Object:
    """A module: an object of the class `__torch__.<name>`."""

    name: str
    state: Mapping[str, Any]
    types: Mapping[str, str]


def dump(value: Any) -> bytes:
    """Returns the pickle, protocol 2, that torch's own reader takes."""
    return b"\x80\x02" + _value(value) + b"."


def _value(value: Any, type_name: str = "") -> bytes:
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if isinstance(value, int):
        return _int(value)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_value, value)) + b"t"
    if isinstance(value, list | dict):
        return _typed(value, type_name)
    if isinstance(value, Tensor):
        return _tensor(value)
    if isinstance(value, Object):
        items = b"".join(_text(k) + _value(v, value.types[k]) for k, v in value.state.items())
        return _global("__torch__", value.name) + b")\x81}(" + items + b"ub"
    raise NeuropodError(f"a TorchScript archive cannot hold {type(value).__name__}")


def _int(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    return b"\x8a\x08" + struct.pack("<q", value)


def _text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _typed(value: list[Any] | dict[Any, Any], type_name: str) -> bytes:
    """A list or a dict with the name of its type, which its elements alone do not show."""
    if isinstance(value, list):
        plain = b"](" + b"".join(map(_value, value)) + b"e"
    else:
        plain = b"}(" + b"".join(_value(k) + _value(v) for k, v in value.items()) + b"u"
    return _global("torch.jit._pickle", "restore_type_tag") + b"(" + plain + _text(type_name) + b"tR"


def _tensor(tensor: Tensor) -> bytes:
    storage = (
        b"(" + _text("storage") + _global("torch", tensor.storage)
        + _text(tensor.key) + _text("cpu") + _int(tensor.items) + b"tQ"
    )  # fmt: skip
    rest = (tensor.offset, tensor.shape, tensor.strides, tensor.requires_grad)
    hooks = _global("collections", "OrderedDict") + b")R"
    arguments = storage + b"".join(map(_value, rest)) + hooks
    return _global("torch._utils", "_rebuild_tensor_v2") + b"(" + arguments + b"tR"


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()
