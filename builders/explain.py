"""What a builder will do, and what it did: stages, sharing, sizes, owners, copies, times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .plan import Plan, Planned
from .pool import allocate_pages

__all__ = ["Explanation", "StageLine", "TensorLine", "explain"]


@dataclass(frozen=True)
class StageLine:
    title: str
    serves: tuple[str, ...]
    """The tensors that need it."""
    scratch_bytes: int
    dropped: dict[str, int]
    ms: float | None


@dataclass(frozen=True)
class TensorLine:
    name: str
    feature: str
    dtype: str
    shape: tuple[int | str, ...]
    """The last frame's, or with the names of the sizes that a frame decides."""
    nbytes: int | None
    stage: str
    owner: str
    """Who owns the memory: the builder's pool, or the model."""
    copies: str
    """none, or why the framework makes one."""
    params: dict[str, Any]
    ms: float | None


@dataclass(frozen=True)
class Explanation:
    """Print it, or take `to_dict()`."""

    schema: str
    fingerprint: str
    stages: tuple[StageLine, ...]
    tensors: tuple[TensorLine, ...]
    writable: bool

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"schema {self.schema} ({self.fingerprint})", "stages, each once per frame:"]
        lines += _table([_stage_cells(s) for s in self.stages])
        lines += ["tensors:", *_table([_tensor_cells(t) for t in self.tensors])]
        lines.append(f"tensors are {'writable' if self.writable else 'read-only'}, 64-byte aligned")
        return "\n".join(lines)


def explain(plan: Plan, times_s: Mapping[object, float], model: object | None, writable: bool) -> Explanation:
    stages = tuple(
        StageLine(s.title, plan.users(s), s.nbytes, {k: v for k, v in s.dropped.items() if v}, _ms(times_s.get(s)))
        for s in plan.stages
    )
    owner = "model" if getattr(model, "allocator", None) else "builder's pool"
    copies = _copies(plan, model)
    tensors = tuple(_tensor(t, bool(times_s), owner, copies.get(t.name, "none"), times_s) for t in plan.tensors)
    name = f"{plan.schema.name} {plan.schema.version}"
    return Explanation(name, plan.schema.fingerprint, stages, tensors, writable)


def _copies(plan: Plan, model: object | None) -> Mapping[str, str]:
    """Returns why the model's framework will copy a tensor, for those that it will; the model says it."""
    tell = getattr(model, "copies", None)
    if tell is None:
        return {}
    reasons: Mapping[str, str] = tell({t.name: _like(t) for t in plan.tensors})
    return reasons


def _like(t: Planned) -> NDArray[Any]:
    """Returns an array in memory such as the pool gives, with one row where the frame decides; it is never touched."""
    shape = tuple(1 if n is None else n for n in t.resolved.fixed)
    array: NDArray[Any] = np.ndarray(shape, t.dtype, allocate_pages(t.name, prod(shape) * np.dtype(t.dtype).itemsize))
    return array


def _tensor(t: Planned, built: bool, owner: str, copies: str, times_s: Mapping[object, float]) -> TensorLine:
    fixed, sizes = t.resolved.fixed, t.resolved.sizes
    shape = t.shape if built else tuple(s if n is None else n for n, s in zip(fixed, sizes, strict=True))
    known = [n for n in shape if isinstance(n, int)]
    nbytes = prod(known) * np.dtype(t.dtype).itemsize if len(known) == len(shape) else None
    params = t.resolved.params.to_dict()
    return TensorLine(
        t.name, t.feature, t.dtype, shape, nbytes, t.filler.title, owner, copies, params, _ms(times_s.get(t.name))
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 3)


def _stage_cells(s: StageLine) -> list[str]:
    dropped = ", ".join(f"{n} {reason} dropped" for reason, n in s.dropped.items())
    shared = "shared by" if len(s.serves) > 1 else "for"
    return [s.title, _time(s.ms), _size(s.scratch_bytes) + " scratch", f"{shared} {', '.join(s.serves)}", dropped]


def _tensor_cells(t: TensorLine) -> list[str]:
    shape = f"({', '.join(map(str, t.shape))})"
    return [t.name, f"{shape} {t.dtype}", _size(t.nbytes), _time(t.ms), f"in {t.owner}", f"copies: {t.copies}"]


def _time(ms: float | None) -> str:
    return "" if ms is None else f"{ms:.2f} ms"


def _size(nbytes: int | None) -> str:
    if nbytes is None:
        return "by frame"
    if nbytes < 2**10:
        return f"{nbytes} B"
    return f"{nbytes / 2**20:.1f} MiB" if nbytes >= 2**20 else f"{nbytes / 2**10:.1f} KiB"


def _table(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    return ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
