"""What the rows of a spec come to: feature, parameters, sizes. All that can be wrong with a spec is said here."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from math import prod
from typing import Any, Protocol

import msgspec
import numpy as np

from .errors import SpecError
from .feature import Feature
from .params import Params
from .spec import Dim, Row, Spec

__all__ = ["Resolved", "resolve_row", "resolve_spec"]

_MOST_BYTES = 2**37
"""Larger tensors than these 128 GiB are a slip in a spec."""


class Lookup(Protocol):
    """What resolving needs of a schema."""

    def __getitem__(self, name: str) -> Feature: ...
    def presets(self, group: str) -> Mapping[str, dict[str, Any]]: ...


class Resolved(msgspec.Struct, frozen=True):
    """One row, made certain."""

    row: Row
    feature: Feature
    params: Params
    sizes: tuple[int | str, ...]
    """What the feature has: integers, and the names of the frame's own sizes."""

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def fixed(self) -> tuple[int | None, ...]:
        """Per axis the size that the tensor will always have, or None where the frame decides."""
        return tuple(
            size if isinstance(size, int) else dim if isinstance(dim, int) else None
            for size, dim in zip(self.sizes, self.row.shape, strict=True)
        )


def resolve_spec(schema: Lookup, spec: Spec) -> tuple[Resolved, ...]:
    rows = tuple(resolve_row(schema, row) for row in spec)
    for resolved in rows:
        _check_shape(resolved)
        _check_size(resolved)
    _check_groups(rows)
    _check_symbols(rows)
    return rows


def resolve_row(schema: Lookup, row: Row) -> Resolved:
    """Returns the row's feature and parameters; the shape is not looked at."""
    feature = schema[row.name.partition("__")[0]]
    if row.shape and row.dtype not in feature.dtypes:
        raise SpecError(f"input '{row.name}' can be {' or '.join(feature.dtypes)}, the spec wants {row.dtype}")
    params = _params(schema, feature, row)
    return Resolved(row, feature, params, feature.sizes(params))


def _params(schema: Lookup, feature: Feature, row: Row) -> Params:
    changes = dict(row.params or {})
    params = feature.params
    preset = changes.pop("preset", None)
    if preset is not None:
        params = params.replace(_preset(schema, feature, row.name, preset), f"input '{row.name}'")
    return params.replace(changes, f"input '{row.name}'") if changes else params


def _preset(schema: Lookup, feature: Feature, name: str, preset: object) -> dict[str, object]:
    presets = schema.presets(feature.group)
    if isinstance(preset, str) and preset in presets:
        return presets[preset]
    near = difflib.get_close_matches(str(preset), presets, 1)
    hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(presets) or 'none for this feature'}"
    raise SpecError(f"input '{name}': no preset '{preset}'; {hint}")


def _check_shape(resolved: Resolved) -> None:
    row, sizes = resolved.row, resolved.sizes
    fits = len(row.shape) == len(sizes) and all(
        not isinstance(dim, int) or isinstance(size, str) or dim == size
        for dim, size in zip(row.shape, sizes, strict=True)
    )
    if not fits:
        raise SpecError(
            f"input '{row.name}' must be {_show(sizes)} {row.dtype}, the spec wants {_show(row.shape)}; "
            "sizes follow from the row's params"
        )


def _check_size(resolved: Resolved) -> None:
    item = 1 if resolved.row.dtype == "string" else np.dtype(resolved.row.dtype).itemsize
    nbytes = prod(n or 1 for n in resolved.fixed) * item
    if nbytes > _MOST_BYTES:
        raise SpecError(
            f"input '{resolved.name}' would be {nbytes / 2**30:.0f} GiB, {_show(resolved.fixed)} {resolved.row.dtype}; "
            f"at most {_MOST_BYTES >> 30} GiB are built: take a coarser grid or fewer rows"
        )


def _show(shape: Iterable[Dim]) -> str:
    dims = ["any" if d is None else str(d) for d in shape]
    return f"({', '.join(dims)}{',' if len(dims) == 1 else ''})"


def _source(resolved: Resolved, axis: int) -> object:
    """Returns what decides the size of an axis: a number, or which frame's own size under which parameters."""
    fixed = resolved.fixed[axis]
    return fixed if fixed is not None else (resolved.sizes[axis], resolved.feature.group, resolved.params)


def _check_symbols(rows: tuple[Resolved, ...]) -> None:
    first: dict[str, tuple[Resolved, int]] = {}
    for resolved in rows:
        for axis, symbol in enumerate(resolved.row.shape):
            if not isinstance(symbol, str):
                continue
            other, other_axis = first.setdefault(symbol, (resolved, axis))
            if _source(resolved, axis) != _source(other, other_axis):
                raise SpecError(
                    f"the symbol '{symbol}' has one value across a spec, but it stands for axis {other_axis} of "
                    f"'{other.name}' ({_size(other, other_axis)}) and axis {axis} of '{resolved.name}' "
                    f"({_size(resolved, axis)}); use two symbols"
                )


def _size(resolved: Resolved, axis: int) -> str:
    fixed = resolved.fixed[axis]
    return f"{resolved.sizes[axis]} under its params" if fixed is None else str(fixed)


def _check_groups(rows: tuple[Resolved, ...]) -> None:
    """Rows that belong together must agree, or their values would not: same parameters, same cut."""
    first: dict[tuple[str, str], Resolved] = {}
    for resolved in rows:
        suffix = resolved.name.partition("__")[2]
        other = first.setdefault((resolved.feature.group, suffix), resolved)
        if other.params != resolved.params:
            raise SpecError(
                f"'{other.name}' and '{resolved.name}' belong together but their params differ; "
                f"give both the same, or a suffix to one: {resolved.feature.name}__b"
            )
        _check_cut(other, resolved)
        _check_cut(resolved, other)


def _check_cut(tensor: Resolved, count: Resolved) -> None:
    """A count must not tell of more rows than its tensor holds."""
    if count.feature.shape != (1,):
        return
    for dim, size in zip(tensor.row.shape, tensor.sizes, strict=True):
        if isinstance(dim, int) and isinstance(size, str):
            cap = count.params.cap(size)
            if cap is None or cap > dim:
                raise SpecError(
                    f"'{tensor.name}' is cut at {dim} rows, but '{count.name}' counts "
                    f'{"all" if cap is None else f"up to {cap}"}; give both the params {{"max_points": {dim}}}'
                )
