"""How much of the machine a worker may use."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import NeuropodError
from .worker.limits import thread_variables

__all__ = ["Limits"]

_LEAST_BYTES = 128 << 20
_NICE = range(-20, 20)


@dataclass(frozen=True)
class Limits:
    """Limits of one worker; None leaves a thing as it is here. Raises NeuropodError for what cannot be."""

    cpus: Sequence[int] | None = None
    """The CPUs that it runs on, by their numbers."""
    threads: int | None = None
    """How many threads its framework computes with: OpenMP, MKL, OpenBLAS, torch, TensorFlow, JAX, onnxruntime."""
    memory_bytes: int | None = None
    """How much memory of its own it may write to, its framework's included; what it shares with this process is not
    counted. Beyond it, it gets no more (MemoryError, or its framework's own error)."""
    nice: int | None = None
    """How readily it leaves the CPUs to others: 0 to 19, and for root from -20 on."""

    def __post_init__(self) -> None:
        if self.cpus is not None:
            object.__setattr__(self, "cpus", _checked_cpus(self.cpus))
        if self.threads is not None and not (_is_whole(self.threads) and self.threads > 0):
            raise NeuropodError(f"limits: threads must be a whole number from 1 on, got {self.threads!r}")
        if self.memory_bytes is not None and not (_is_whole(self.memory_bytes) and self.memory_bytes >= _LEAST_BYTES):
            raise NeuropodError(
                f"limits: memory_bytes must be a whole number from {_LEAST_BYTES} on, which Python and numpy need, "
                f"got {self.memory_bytes!r}"
            )
        if self.nice is not None and not (_is_whole(self.nice) and self.nice in _NICE):
            raise NeuropodError(f"limits: nice must be a whole number from -20 to 19, got {self.nice!r}")

    def order(self) -> dict[str, Any]:
        """Returns the limits that are set, as a worker is told of them."""
        values = {"cpus": self.cpus, "threads": self.threads, "memory_bytes": self.memory_bytes, "nice": self.nice}
        return {name: value for name, value in values.items() if value is not None}

    def variables(self) -> dict[str, str]:
        """Returns the environment variables that a worker is started with."""
        return {} if self.threads is None else thread_variables(self.threads)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _checked_cpus(cpus: Sequence[int]) -> tuple[int, ...]:
    try:
        numbers = tuple(dict.fromkeys(cpus))
    except TypeError:
        numbers = ()
    if not numbers or not all(map(_is_whole, numbers)):
        raise NeuropodError(f"limits: cpus must be the numbers of one or more CPUs, got {cpus!r}")
    allowed = sorted(os.sched_getaffinity(0))
    for number in numbers:
        if number not in allowed:
            raise NeuropodError(f"limits: there is no CPU {number} for this program; it has {_ranges(allowed)}")
    return numbers


def _ranges(numbers: Sequence[int]) -> str:
    """Returns sorted numbers as Linux writes them: 0-3, 8."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)
