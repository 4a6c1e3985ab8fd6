"""How a message says a call's arrays: where they lie, or, for those that lie elsewhere, where they were copied."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..frameworks.handoff import address
from ..frameworks.strings import is_string, of_tensor, to_unicode
from .memory import SharedMemory, addresses_of
from .worker import wire
from .worker.shared import ALIGNMENT
from .worker.tensors import encoded

__all__ = ["Request", "Requests"]

_MOST_KEPT = 256


class Request(NamedTuple):
    body: bytes
    """The plan's number, then each input's chunk, offset and shape."""
    keep: list[Any]
    """What must live until the worker has let go of it."""


class Requests:
    """The calls of one model; its workers are told of the same plans and the same memory."""

    def __init__(self, memory: SharedMemory, fixed: bool) -> None:
        """fixed: whether a name alone says type and shape, since the spec does and every call is checked."""
        self._memory = memory
        self._fixed = fixed
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._kept: OrderedDict[tuple[Any, ...], bytes] = OrderedDict()
        self._lock = Lock()
        self.plans: list[dict[str, Any]] = []

    def of(self, inputs: Mapping[str, NDArray[Any]], wanted: tuple[str, ...]) -> Request:
        arrays = list(inputs.values())
        key: tuple[Any, ...] = (wanted, *inputs, *addresses_of(arrays))
        if not self._fixed:
            key += tuple([(a.shape, a.dtype) for a in arrays])
        known = self._kept.get(key)
        if known is not None:
            return Request(known, arrays)
        request, is_lasting = self._made(inputs, wanted)
        if is_lasting:
            with self._lock:
                if len(self._kept) >= _MOST_KEPT:
                    self._kept.popitem(last=False)
                self._kept[key] = request.body
        return request

    def _made(self, inputs: Mapping[str, NDArray[Any]], wanted: tuple[str, ...]) -> tuple[Request, bool]:
        """Returns a request, and whether it holds for as long as the arrays lie where they are."""
        rows = []
        places: list[tuple[int, int]] = []
        elsewhere: list[tuple[int, NDArray[Any]]] = []
        total = 0
        for name, array in inputs.items():
            text = is_string(array)
            kind = array.dtype.kind
            rows.append((name, ("S" if kind == "S" else "U") if text else array.dtype.str, array.ndim))
            place = None if text else self._memory.find(address(array), array.nbytes)
            if array.nbytes == 0 and not text:
                place = (0, 0)
            if place is None:
                data = _text(name, array) if text else array
                elsewhere.append((len(places), data))
                places.append((wire.TEXT if text else 0, total))
                total += -(-data.nbytes // ALIGNMENT) * ALIGNMENT
            else:
                places.append((place[0] | wire.READ_ONLY, place[1]))
        keep: list[Any] = list(inputs.values())
        if elsewhere:
            block = self._memory.take(total)
            found = self._memory.find(address(block), total)
            assert found is not None
            chunk, begin = found
            for number, data in elsewhere:
                flags, offset = places[number]
                places[number] = (chunk | flags, begin + offset)
                if data.nbytes:
                    np.copyto(np.ndarray(data.shape, data.dtype, block, offset), data)
            keep = [*keep, block]
        numbers = [self._plan(tuple(rows), wanted)]
        for place, array in zip(places, inputs.values(), strict=True):
            numbers += place
            numbers += array.shape
        return Request(wire.pack(numbers), keep), not elsewhere

    def _plan(self, rows: tuple[tuple[str, str, int], ...], wanted: tuple[str, ...]) -> int:
        key = (rows, wanted)
        with self._lock:
            number = self._numbers.get(key)
            if number is None:
                number = self._numbers[key] = len(self.plans)
                self.plans.append({"plan": number, "rows": rows, "wanted": wanted})
            return number


def _text(name: str, array: NDArray[Any]) -> NDArray[np.uint8]:
    # bytes stay bytes: whether they are text is for the model's framework to say, and for TensorFlow they need not be
    with of_tensor(f"input '{name}'"):
        data: NDArray[np.uint8] = encoded(array if array.dtype.kind == "S" else to_unicode(array))
    return data
