"""How specs are written: from names alone, with parameters said once for several rows. Each row then stands alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from .errors import SpecError, UnknownFeature
from .group import Group
from .parameter import shared_by
from .params import merge
from .resolve import params_of
from .spec import Row, Spec, as_params

if TYPE_CHECKING:
    from .schema import Schema

__all__ = ["spec_of"]


def spec_of(
    schema: Schema, rows: Iterable[str | Row | Mapping[str, Any]], params: Mapping[str, Any], training: bool
) -> Spec:
    """Returns the spec of rows and feature names, to which `params` gives parameters by group and by part.

    In training, rows of a preset say its training values too, so that each means what it says wherever it is read.
    Raises SpecError for a key of `params` that no row would take.
    """
    wanted = [row if isinstance(row, str) else Row.of(row) for row in rows]
    if params:
        groups = {group.name: group for group in (_group_of(schema, row) for row in wanted)}
        free = {_group_of(schema, row).name for row in wanted if isinstance(row, str) or row.params is None}
        for key, value in params.items():
            _check_taken(schema, key, value, groups, free)
        _check_presets(schema, params, [group for name, group in groups.items() if name in free])
    return Spec.of(_row(schema, row, params, training) for row in wanted)


def _group_of(schema: Schema, row: str | Row) -> Group:
    name = row if isinstance(row, str) else row.name
    return schema.group_of(name.partition("__")[0])


def _check_taken(schema: Schema, key: str, value: Any, groups: Mapping[str, Group], free: set[str]) -> None:
    """Raises SpecError unless a row takes what `params` says under `key`: a row of the group, or with the part."""
    names = [group.name for group in schema.groups]
    if key in names:
        as_params(key, value)
        taking, what = [name for name in groups if name == key], "is of that group"
    elif key in schema.parts:
        taking, what = [name for name, group in groups.items() if key in group.parts], "has that part"
    elif key in schema:
        raise SpecError(f"params for '{key}': give them under its group, '{schema.group_of(key).name}'")
    else:
        raise _unknown(schema, key, value, groups.values())
    if not taking:
        raise SpecError(f"params for '{key}', but no row {what}; the rows are of {', '.join(groups) or 'no group'}")
    if not free.intersection(taking):
        raise SpecError(
            f"params for '{key}', but every row that {what} brings its own params; set it there, or remove them"
        )


def _check_presets(schema: Schema, params: Mapping[str, Any], free: Iterable[Group]) -> None:
    """Raises SpecError where a part names a preset that groups whose rows take it lack, with all of these."""
    lacking: dict[str, list[Group]] = {}
    for group in free:
        spread, own = _spread(group, params), as_params(group.name, params.get(group.name)) or {}
        if "preset" in spread and "preset" not in own and str(spread["preset"]) not in group.presets:
            lacking.setdefault(str(spread["preset"]), []).append(group)
    for preset, groups in lacking.items():
        try:
            schema.preset(groups[0], preset)
        except SpecError as error:
            rows = ", ".join(group.name for group in groups)
            having = next((group.name for group in schema.groups if preset in group.presets), None)
            hint = having and (
                f"; name it under those alone, and say in the params of the others what "
                f"`perceptum features {having} --preset {preset}` shows"
            )
            raise SpecError(f"params for the rows of {rows}: {error}{hint or ''}") from None


def _spread(group: Group, params: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what `params` says of the parts of a group, as params of a row.

    A part that is an object may name a preset of the group, {"image": {"preset": NAME, "flip": True}}, or be the name
    alone, so that it is said once for rows of several groups. Raises SpecError where two parts name different ones.
    """
    found: dict[str, Any] = {}
    for part, own in group.parts.items():
        if part not in params:
            continue
        value = params[part]
        if isinstance(own, msgspec.Struct) and "preset" not in own.__struct_fields__:
            value = {"preset": value} if isinstance(value, str) else value
            if isinstance(value, Mapping) and "preset" in value:
                preset = value["preset"]
                if found.setdefault("preset", preset) != preset:
                    both = f"{found['preset']!r} and {preset!r}"
                    raise SpecError(f"params of parts name the presets {both}, but a row of {group.name} follows one")
                value = {key: one for key, one in value.items() if key != "preset"}
                if not value:
                    continue
        found[part] = value
    return found


def _unknown(schema: Schema, key: str, value: Any, of_rows: Iterable[Group]) -> SpecError:
    """Returns the error for a key that is neither group nor part: a parameter of groups, the heading under which
    several groups' parameters are shown, such as the cloud, or nothing that is known."""
    heading = str(key).replace("_", " ")
    # the groups of the rows first: one of them is named
    for group in (*of_rows, *schema.groups):
        if key in group.params.__struct_fields__:
            return _misplaced(schema, f"'{key}' is a parameter; give it", group, key)
        under = [one.parameters for one in shared_by(group.params) if one.name == heading]
        if under:
            names = [one.name.partition(".")[0] for one in under[0]]
            given = next((name for name in value if name in names), None) if isinstance(value, Mapping) else None
            return _misplaced(schema, f"'{key}' is a heading over parameters; give them", group, given or names[0])
    return UnknownFeature.of("group or part", key, [*(group.name for group in schema.groups), *sorted(schema.parts)])


def _misplaced(schema: Schema, said: str, group: Group, name: str) -> SpecError:
    *most, last = [f"'{part}'" for part in sorted(schema.parts)] or [""]
    parts = f"{', '.join(most)} and {last}" if most else last
    at_once = f"; only {parts} may be said once for all rows" if parts else ""
    return SpecError(f'{said} under a group: {group.name}={{"{name}": ...}}{at_once}')


def _row(schema: Schema, row: str | Row, params: Mapping[str, Any], training: bool) -> Row:
    if isinstance(row, Row) and (row.params is not None or not params):
        return _in_training(schema, row) if training else row
    group = _group_of(schema, row)
    # what is said of the group goes before what is said of all rows
    values = merge(_spread(group, params), as_params(group.name, params.get(group.name)) or {}) or None
    if training:
        values = _training(group, values)
    if isinstance(row, Row):
        return msgspec.structs.replace(row, params=values)
    base, _, suffix = row.partition("__")
    feature = schema[base]
    sizes = feature.sizes(params_of(schema, row, values))
    symbols = tuple(f"{d}__{suffix}" if suffix and isinstance(d, str) else d for d in sizes)
    return Row(row, feature.dtypes[0], symbols, values)


def _in_training(schema: Schema, row: Row) -> Row:
    """Returns a row that brings its own params; one that names no feature is the model's own business."""
    if row.name.partition("__")[0] not in schema:
        return row
    return msgspec.structs.replace(row, params=_training(_group_of(schema, row), row.params))


def _training(group: Group, params: dict[str, Any] | None) -> dict[str, Any] | None:
    """Returns params with the training values of their preset, before what they say themselves."""
    preset = (params or {}).get("preset")
    # a preset that is not there is refused where the row is resolved
    if params is None or preset not in group.presets:
        return params
    return merge(group.preset(preset).training, params)
