"""What the rows of a spec come to: feature, parameters, sizes. All that can be wrong with a spec is said here."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from math import prod
from typing import Any, Protocol

import msgspec
import numpy as np

from .collate import Concat
from .errors import SpecError
from .feature import Feature, fingerprint
from .group import Group
from .parameter import choices_of
from .params import Params
from .preset import Preset
from .spec import Dim, Row, Spec

__all__ = ["Resolved", "fingerprint_of", "numbered_by", "params_of", "resolve_row", "resolve_spec"]

_MOST_BYTES = 2**37
"""Larger tensors than these 128 GiB are a slip in a spec."""


class Lookup(Protocol):
    """What resolving needs of a schema."""

    def __getitem__(self, name: str) -> Feature: ...
    def group_of(self, name: str) -> Group: ...
    def preset(self, group: Group, name: object) -> Preset: ...


class Resolved(msgspec.Struct, frozen=True):
    """One row, made certain."""

    row: Row
    group: Group
    feature: Feature
    params: Params
    sizes: tuple[int | str, ...]
    """What the feature has: integers, and the names of the frame's own sizes."""

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def suffix(self) -> str:
        """What follows the two underscores: rows of one suffix belong together."""
        return self.name.partition("__")[2]

    @property
    def parts(self) -> Mapping[str, Any]:
        """What rows of one suffix must agree on."""
        with self.group.asking("parts"):
            return dict(self.params.parts())

    def cap(self, size: str) -> int | None:
        """Returns the most that a frame's own size can be, where the params bound it."""
        with self.group.asking("cap"):
            return self.params.cap(size)

    def size_key(self, size: str) -> Hashable:
        """Returns what alone decides a frame's own size."""
        with self.group.asking("size_key"):
            return self.params.size_key(size)

    @property
    def fixed(self) -> tuple[int | None, ...]:
        """Per axis the size that the tensor will always have, or None where the frame decides."""
        return tuple(
            size if isinstance(size, int) else dim if isinstance(dim, int) else None
            for size, dim in zip(self.sizes, self.row.shape, strict=True)
        )


def fingerprint_of(rows: Iterable[Resolved]) -> str:
    """Returns 16 hex digits over what a builder makes of rows, in any order: name, dtype, fixed sizes, meaning."""
    made = {row.name: [row.row.dtype, list(row.fixed), row.feature.meaning(row.params)] for row in rows}
    return fingerprint(made)


def resolve_spec(schema: Lookup, spec: Spec) -> tuple[Resolved, ...]:
    rows = tuple(resolve_row(schema, row) for row in spec)
    for resolved in rows:
        _check_shape(resolved)
        _check_size(resolved)
    _check_groups(rows)
    _check_parts(rows)
    _check_cuts(rows)
    _check_nodes(rows)
    _check_rows_of(rows)
    _check_together(rows)
    _check_symbols(rows)
    return rows


def resolve_row(schema: Lookup, row: Row) -> Resolved:
    """Returns the row's feature and parameters; the shape is not looked at."""
    base, underscores, suffix = row.name.partition("__")
    feature = schema[base]
    if underscores and (not suffix or suffix != suffix.strip()):
        what = "begins or ends with a blank" if suffix.strip() else "is blank" if suffix else "is empty"
        raise SpecError(
            f"input '{row.name}': its suffix, what follows the two underscores, {what}; "
            f"a second instance takes a word: {base}__b"
        )
    if row.frame is not None:
        raise SpecError(
            f"input '{row.name}' has a frame of its own, which is for outputs; say it in its params: "
            f'{{"frame": "{row.frame}"}}'
        )
    if row.dtype not in feature.dtypes:
        raise SpecError(f"input '{row.name}' can be {' or '.join(feature.dtypes)}, the spec wants {row.dtype}")
    params = params_of(schema, row.name, row.params)
    sizes = feature.sizes(params)
    if any(isinstance(size, int) and size < 0 for size in sizes):
        raise SpecError(f"input '{row.name}': its params make the shape {_show(sizes)}; no size is below 0")
    return Resolved(row, schema.group_of(base), feature, params, sizes)


def params_of(schema: Lookup, name: str, given: Mapping[str, Any] | None) -> Params:
    """Returns the parameters of the row `name`: its group's, then a preset's, then what is given beside it."""
    group = schema.group_of(name.partition("__")[0])
    changes = dict(given or {})
    params = group.params
    preset = changes.pop("preset", None)
    if preset is not None:
        try:
            chosen = schema.preset(group, preset)
        except SpecError as error:
            raise SpecError(f"input '{name}': {error}") from None
        params = params.replace(chosen.params, f"input '{name}'")
    return params.replace(changes, f"input '{name}'") if changes else params


def _check_shape(resolved: Resolved) -> None:
    row, sizes = resolved.row, resolved.sizes
    if not _fits(row.shape, sizes):
        raise SpecError(
            f"input '{row.name}' must be {_show(sizes)} {row.dtype}, the spec wants {_show(row.shape)}; "
            f"sizes follow from the row's params{_deciding(resolved)}{_fitting_choice(resolved)}"
        )


def _fits(shape: tuple[Dim, ...], sizes: tuple[int | str, ...]) -> bool:
    return len(shape) == len(sizes) and all(
        not isinstance(dim, int) or isinstance(size, str) or dim == size for dim, size in zip(shape, sizes, strict=True)
    )


def _fitting_choice(resolved: Resolved) -> str:
    """Returns the word of a parameter under which the sizes are those of the spec: "; layout "HWC" makes it so"."""
    for name, words in choices_of(type(resolved.params)).items():
        for word in words:
            try:
                sizes = resolved.feature.sizes(resolved.params.replace({name: word}, ""))
            except SpecError:
                continue
            if _fits(resolved.row.shape, sizes):
                return f'; {name} "{word}" makes it so'
    return ""


def _deciding(resolved: Resolved) -> str:
    """Returns which params decide the sizes that a spec has otherwise, if the group can tell: ": 5 from columns"."""
    row, sizes, axes = resolved.row, resolved.sizes, resolved.feature.axes(resolved.params)
    if len(row.shape) != len(sizes):
        return ""
    said = []
    with resolved.group.asking("decided_by"):
        for dim, size, axis in zip(row.shape, sizes, axes, strict=True):
            if isinstance(dim, int) and isinstance(size, int) and isinstance(axis, str) and dim != size:
                fields = ", ".join(resolved.params.decided_by(axis))
                said += [f"{size} from {fields}"] if fields else []
    return f": {'; '.join(dict.fromkeys(said))}" if said else ""


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


def _check_groups(rows: tuple[Resolved, ...]) -> None:
    """Rows of one group and suffix are one filler's: their parameters must be the same."""
    first: dict[tuple[str, str], Resolved] = {}
    for resolved in rows:
        other = first.setdefault((resolved.group.name, resolved.suffix), resolved)
        if other.params != resolved.params:
            raise SpecError(
                f"'{other.name}' and '{resolved.name}' belong together but their params differ; "
                f"give both the same, or a suffix to one: {resolved.feature.name}__b"
            )


def _check_parts(rows: tuple[Resolved, ...]) -> None:
    """Rows of one suffix must agree on their parts, or a picture and its projection would drift apart."""
    first: dict[tuple[str, str], tuple[Resolved, Any]] = {}
    for resolved in rows:
        for part, value in resolved.parts.items():
            other, others = first.setdefault((part, resolved.suffix), (resolved, value))
            if others != value:
                same = f'give both the same, as params={{"{part}": ...}} does'
                # what params= says is in the params of all rows but those that brought some
                silent = next((one.name for one in (other, resolved) if _leaves_out(one.row, part)), None)
                if silent is not None:
                    same = (
                        f"say it in the params of '{silent}' too, which are its own, so that params= does not reach it"
                    )
                raise SpecError(
                    f"'{other.name}' has the {part} {_plain(others)} and '{resolved.name}' {_plain(value)}, "
                    f"but rows of one suffix share their {part}; {same}, or a suffix to one: "
                    f"{resolved.feature.name}__b"
                )


def _leaves_out(row: Row, part: str) -> bool:
    """Whether a row has params that say nothing of a part."""
    return row.params is not None and part not in row.params and "preset" not in row.params


def _plain(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _check_cuts(rows: tuple[Resolved, ...]) -> None:
    """A count must not tell of more rows than the tensor that it counts holds."""
    tensors = {(resolved.feature.name, resolved.suffix): resolved for resolved in rows}
    for count in rows:
        tensor = tensors.get((count.feature.counts or "", count.suffix))
        if tensor is None:
            continue
        for dim, size in zip(tensor.row.shape, tensor.sizes, strict=True):
            if isinstance(dim, int) and isinstance(size, str):
                cap = count.cap(size)
                if cap is None or cap > dim:
                    raise SpecError(
                        f"'{tensor.name}' is cut at {dim} rows, but '{count.name}' counts "
                        f"{'all' if cap is None else f'up to {cap}'}; give both {_limit(count, size, dim)}"
                    )


def numbered_by(row: Resolved, rows: Iterable[Resolved]) -> list[Resolved]:
    """Returns the rows of a spec whose rows the values of `row` number: that of the feature which its `offset_of` names
    first, then others that have the same rows, such as the means of the voxels to which points belong."""
    name = row.feature.collate.offset_of if isinstance(row.feature.collate, Concat) else None
    if name is None:
        return []
    own = next((feature for feature in row.group.features if feature.name == name), None)
    size = None if own is None else own.sizes(row.params)[0]
    key = row.size_key(size) if isinstance(size, str) else None
    beside = [other for other in rows if other.suffix == row.suffix]
    named = [other for other in beside if other.feature.name == name]
    firsts = [(other, other.sizes[0]) for other in beside if other.sizes and other not in named]
    return named + [other for other, first in firsts if key and isinstance(first, str) and other.size_key(first) == key]


def _check_nodes(rows: tuple[Resolved, ...]) -> None:
    """Edges must not point past the nodes that a spec fixes: a node that is cut off leaves its edges behind."""
    for edges in rows:
        for nodes in numbered_by(edges, rows):
            dim, size = nodes.row.shape[0], nodes.sizes[0]
            if isinstance(dim, int) and isinstance(size, str):
                cap = nodes.cap(size)
                if cap is None or cap > dim:
                    raise SpecError(
                        f"'{nodes.name}' is cut at {dim} rows, but '{edges.name}' points to "
                        f"{'all' if cap is None else f'up to {cap}'} of them; leave the rows of '{nodes.name}' open"
                    )


def _check_together(rows: tuple[Resolved, ...]) -> None:
    """Rows that belong together, voxels and their coords, must not end at different ones of a frame's rows."""
    for suffix in dict.fromkeys(row.suffix for row in rows):
        open_axes = [
            (row, dim, size)
            for row in rows
            if row.suffix == suffix
            for dim, size in zip(row.row.shape, row.sizes, strict=True)
            if isinstance(size, str)
        ]
        cut = [(row, dim, size, row.size_key(size)) for row, dim, size in open_axes if isinstance(dim, int)]
        # where nothing is fixed there is nothing to ask: keys are compared, and there may be hundreds of rows
        every = [(row, dim, row.size_key(size)) for row, dim, size in open_axes] if cut else []
        for least, dim, size, key in cut:
            cap = least.cap(size)
            if cap is not None and cap <= dim:
                continue
            other = next(((o, n) for o, n, k in every if k == key and not (isinstance(n, int) and n <= dim)), None)
            if other is not None:
                name, n = other[0].name, other[1]
                has = f"at {n}" if isinstance(n, int) else "has all" if cap is None else f"has up to {cap}"
                # another group's rows are not bounded by this one's params
                same = other[0].group.name == least.group.name
                hint = _limit(least, size, dim) if same else f"a suffix to one: {other[0].feature.name}__b"
                raise SpecError(
                    f"'{least.name}' is cut at {dim} rows, but '{name}' {has}; their rows belong together: give both "
                    f"the same size, or {hint}"
                )


def _check_rows_of(rows: tuple[Resolved, ...]) -> None:
    """Rows that are another tensor's, one by one, must be those: the pixels of other points would look like theirs."""
    tensors = {(resolved.feature.name, resolved.suffix): resolved for resolved in rows}
    for resolved in rows:
        whose = tensors.get((resolved.feature.rows_of or "", resolved.suffix))
        if whose is None:
            continue
        own, theirs = resolved.sizes[0], whose.sizes[0]
        if isinstance(own, str) and isinstance(theirs, str) and resolved.size_key(own) != whose.size_key(theirs):
            apart = _apart(whose, resolved, theirs) or "their params differ"
            raise SpecError(
                f"the rows of '{resolved.name}' belong to those of '{whose.name}', one by one, but {apart}; give both "
                f"the same, or a suffix to one: {resolved.feature.name}__b"
            )


def _apart(one: Resolved, other: Resolved, size: str) -> str:
    """Returns which params make a frame's own size of two rows different: "points has range null, pixels [0,...]"."""
    said, theirs = [], _by_name(other.params)
    for name, (path, value) in _by_name(one.params).items():
        other_path, others = theirs.get(name, (path, value))
        if others == value:
            continue
        change: dict[str, Any] = {path[-1]: msgspec.to_builtins(others)}
        for outer in reversed(path[:-1]):
            change = {outer: change}
        try:
            tried = msgspec.structs.replace(one, params=one.params.replace(change, ""))
        except SpecError:
            continue
        if tried.size_key(size) != one.size_key(size):
            also = "" if path == other_path else f"{'.'.join(other_path)} "
            said.append(f"'{one.name}' has {'.'.join(path)} {_plain(value)}, '{other.name}' {also}{_plain(others)}")
    return " and ".join(said)


def _by_name(params: Params) -> dict[str, tuple[tuple[str, ...], Any]]:
    """Returns name -> where it is and its value, of a group's own parameters and of those of a cloud that it holds:
    {"num_sweeps": (("lidar", "num_sweeps"), 1)}."""
    own = {name: getattr(params, name) for name in params.__struct_fields__}
    clouds = {name: value for name, value in own.items() if isinstance(value, Params)}
    inner = {
        name: ((outer, name), getattr(cloud, name))
        for outer, cloud in clouds.items()
        for name in cloud.__struct_fields__
    }
    return inner | {name: ((name,), value) for name, value in own.items() if name not in clouds}


def _limit(count: Resolved, size: str, rows: int) -> str:
    """Returns the params that make a count stop at so many rows: the parameter that bounds the size is looked for."""
    for field in count.params.__struct_fields__:
        try:
            tried = count.params.replace({field: rows}, "")
            bounds = msgspec.structs.replace(count, params=tried).cap(size) == rows
        except SpecError:
            continue
        if bounds:
            return f'the params {{"{field}": {rows}}}'
    return f"params under which {size} is at most {rows}"


def _source(resolved: Resolved, axis: int) -> object:
    """Returns what decides the size of an axis: a number, or what alone decides the frame's own size."""
    fixed = resolved.fixed[axis]
    return ("fixed", fixed) if fixed is not None else resolved.size_key(str(resolved.sizes[axis]))


def _check_symbols(rows: tuple[Resolved, ...]) -> None:
    first: dict[str, tuple[Resolved, int]] = {}
    for resolved in rows:
        for axis, symbol in enumerate(resolved.row.shape):
            if not isinstance(symbol, str):
                continue
            other, other_axis = first.setdefault(symbol, (resolved, axis))
            if _source(resolved, axis) != _source(other, other_axis):
                # two sizes of one name: what makes them differ is in the params
                same = _size(other, other_axis) == _size(resolved, axis) and str(other.sizes[other_axis])
                apart = _apart(other, resolved, same) if same else ""
                raise SpecError(
                    f"the symbol '{symbol}' has one value across a spec, but it stands for axis {other_axis} of "
                    f"'{other.name}' ({_size(other, other_axis)}) and axis {axis} of '{resolved.name}' "
                    f"({_size(resolved, axis)}); {f'{apart}: give both the same, or ' if apart else ''}use two symbols"
                )


def _size(resolved: Resolved, axis: int) -> str:
    fixed = resolved.fixed[axis]
    return f"{resolved.sizes[axis]} under its params" if fixed is None else str(fixed)
