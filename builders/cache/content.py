"""What stands for a value: 32 hex digits over all that it says, in a form that is the same in every process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, cast

import numpy as np
import xxhash

__all__ = ["NotPlain", "digest_of"]

_LEFT_OUT = frozenset({"source", "read", "point_labels", "ego_from_lidar"})
"""Fields of records that say where they lie, or how to ask for what is asked for apart."""


class NotPlain(TypeError):
    """A value of which it is not known what it says."""


def digest_of(value: object) -> str:
    """Returns xxh3 over a record, an array, or plain data. Raises NotPlain for what holds anything else."""
    state = xxhash.xxh3_128()
    _add(state.update, value)
    return state.hexdigest()


def _add(update: Callable[[Any], None], value: Any) -> None:
    if value is None or isinstance(value, (bool, int, float, str, bytes, np.generic)):
        # numbers by their type too: 1, 1.0 and True are not the same
        text = value if isinstance(value, bytes) else repr(value).encode(errors="surrogatepass")
        update(f"{type(value).__name__} {len(text)} ".encode())
        update(text)
    elif isinstance(value, np.ndarray):
        _add_array(update, value)
    elif isinstance(value, Mapping):
        update(f"mapping {len(value)} ".encode())
        for key, item in value.items():
            _add(update, key)
            _add(update, item)
    elif isinstance(value, (Sequence, range)):
        update(f"sequence {len(value)} ".encode())
        for item in value:
            _add(update, item)
    elif is_dataclass(value) and not isinstance(value, type):
        update(f"{type(value).__qualname__} ".encode())
        for name in _names(type(value)):
            update(name.encode())
            _add(update, getattr(value, name))
    else:
        raise NotPlain(f"{type(value).__module__}.{type(value).__qualname__}")


def _add_array(update: Callable[[Any], None], array: np.ndarray[Any, Any]) -> None:
    if array.dtype.hasobject:
        update(f"array {array.shape} ".encode())
        for item in array.reshape(-1).tolist():
            _add(update, item)
        return
    update(f"array {array.shape} {array.dtype.str} ".encode())
    if array.size:
        update(cast(Any, np.ascontiguousarray(array).reshape(-1).view(np.uint8)))


@lru_cache(maxsize=64)
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.name not in _LEFT_OUT)
